"""The nodes of an experiment's studies."""

from collections.abc import Iterator

from pipeline.config import Experiment
from pipeline.core.errors import ConfigError
from pipeline.core.plugin_calls import named_failures
from pipeline.core.registry import plugin_name
from pipeline.core.settings.type_hints import describe_value
from pipeline.graph.node_kinds import stages
from pipeline.graph.nodes.study import StudyNode
from pipeline.studies.base import Place


def studies(experiment: Experiment, *, reads_inputs: bool = True) -> Iterator[StudyNode]:
    """Yield the tables of each study; raises ConfigError if one of them cannot be the table of a study."""
    for label, study in experiment.all_studies().items():
        place = Place(
            label=label,
            experiment_name=experiment.name,
            resources=experiment.resources.compute,
            reads_inputs=reads_inputs,
        )
        # nodes() may be a generator, whose code runs only while the list is made. So the list is made in this
        # block, which reports errors in that code.
        with named_failures((study,)):
            nodes = list(study.nodes(place))
        for node in nodes:
            named = f"study {plugin_name(study)!r}: nodes() yielded"
            if not isinstance(node, StudyNode):
                raise ConfigError(f"{named} {describe_value(node)}; expected a StudyNode")
            if node.stage not in stages():
                raise ConfigError(
                    f"{named} a table of the stage {node.stage!r}, which is unknown; leave `stage` as "
                    "StudyNode has it"
                )
            if node.run.name != label:
                raise ConfigError(
                    f"{named} a table with the child run {node.run.name!r}; expected "
                    "run=self.run(place.label)"
                )
            yield node
