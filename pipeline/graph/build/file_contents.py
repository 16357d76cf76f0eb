"""What lies in the files that an experiment names, as far as it uses them."""

from pipeline.graph.costs import roles_used
from pipeline.graph.build.source_requirements import ROLES, all_sourced
from pipeline.config import Experiment
from pipeline.config.populations import Populations, Sourced
from pipeline.data.content_cache import contents_of


def contents_used(experiment: Experiment, *, reads_inputs: bool) -> list[str]:
    """Return the content of every plug-in that names files; of sources only the models that are used, role by role.

    Judges are left out: by what it is judged is no part of what an experiment is. Without reads_inputs, InputsNotReadError is
    raised where the content of a data set is not known. Raises ConfigError or DataError where a source cannot be read.
    """
    unjudged = experiment.model_copy(update={"judges": {}})
    others = unjudged.model_copy(update={"populations": _without_sources(experiment.populations)})
    used = roles_used(unjudged)
    found = [one for role in ROLES if role in used for one in all_sourced(unjudged, role)]
    return contents_of(others, reads_inputs=reads_inputs) + [one.source.content_of_first(one.n_models) for one in found]


def _without_sources(populations: Populations) -> Populations:
    roles = {name: getattr(populations, name) for name in Populations.model_fields}
    sourced = {name: settings for name, settings in roles.items() if isinstance(settings, Sourced)}
    return populations.model_copy(update={name: settings.model_copy(update={"source": None}) for name, settings in sourced.items()})
