"""The contents of the files that an experiment names and uses."""

from pipeline.config import Experiment
from pipeline.config.populations import Populations, Sourced
from pipeline.data.dataset_digests import contents_of
from pipeline.graph.builders.source_requirements import ROLES, all_sourced
from pipeline.graph.costs import roles_used


def contents_used(experiment: Experiment, *, reads_inputs: bool) -> list[str]:
    """Return digests of the files used: of each plug-in that names files, and of each population of a source.

    Of a source, only the models that are used count. Judges are left out, because they are not part of the
    identity of an experiment. Without reads_inputs, raises InputsNotReadError if the content of a data set is
    not known. Raises ConfigError or DataError if a source cannot be read.
    """
    unjudged = experiment.model_copy(update={"judges": {}})
    others = unjudged.model_copy(update={"populations": _without_sources(experiment.populations)})
    used = roles_used(unjudged)
    found = [one for role in ROLES if role in used for one in all_sourced(unjudged, role)]
    return contents_of(others, reads_inputs=reads_inputs) + [
        one.source.content_of_first(one.n_models) for one in found
    ]


def _without_sources(populations: Populations) -> Populations:
    roles = {name: getattr(populations, name) for name in Populations.model_fields}
    sourced = {name: settings for name, settings in roles.items() if isinstance(settings, Sourced)}
    return populations.model_copy(
        update={name: settings.model_copy(update={"source": None}) for name, settings in sourced.items()}
    )
