"""The config keys of studies.

Each study of the package has a key of its own; all other studies stand below `studies`.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, create_model, model_serializer, model_validator

from pipeline.core.errors import ConfigError
from pipeline.core.registry import Settings
from pipeline.core.settings.neutral import setting
from pipeline.core.settings.plugin_fields import plugins
from pipeline.studies import STUDIES
from pipeline.studies.base import Study

# Names of child runs in MLflow and of tables in the report. No study may have one of these labels.
TAKEN = frozenset(
    {"attribution", "curve", "forget", "forget_curve", "full", "influences", "score", "studies", "train"}
)


def _without_own_name(study: type[Study]) -> Callable[[Any], Any]:
    """Return a validator that removes the name from a study's settings, because its key gives the name."""

    def settings(value: Any) -> Any:
        if isinstance(value, Mapping) and value.get("name") == study.name:
            return {key: part for key, part in value.items() if key != "name"}
        return value

    return settings


if TYPE_CHECKING:
    KnownStudies = Settings
else:
    # Each study in the table gets a key, null by default. Created here, so that Experiment lists no study.
    known = {
        study.name: (
            Annotated[study | None, BeforeValidator(_without_own_name(study))],
            setting(neutral=None),
        )
        for study in STUDIES.plugins
    }
    KnownStudies = create_model("KnownStudies", __base__=Settings, __module__=__name__, **known)


class StudyKeys(KnownStudies):
    """The keys of a config that hold studies."""

    studies: Annotated[dict[str, Study], *plugins(STUDIES)] = setting(neutral={})

    @model_validator(mode="after")
    def _check_labels(self) -> "StudyKeys":
        for label, study in self.studies.items():
            if label in TAKEN or label in STUDIES.names():
                raise ConfigError(
                    f"studies.{label}: this label is reserved in tables and pages; choose another label"
                )
            if type(study) in STUDIES.plugins:
                remedy = f"write `{study.name}: {{…}}` beside `studies`, not below it"
                raise ConfigError(f"studies.{label}: study {study.name!r} has a key of its own; {remedy}")
        return self

    @model_serializer(mode="wrap")
    def _behind_the_rest(self, dump: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        """Return the settings in reading order: the method first, then the studies."""
        tree = dump(self)
        studies = {name: tree.pop(name) for name in (*STUDIES.names(), "studies") if name in tree}
        return {**tree, **studies}

    def all_studies(self) -> dict[str, Study]:
        """Return every study of the experiment by its label.

        The label of a study with a key of its own is its name.
        """
        known = {name: getattr(self, name) for name in STUDIES.names()}
        return {name: study for name, study in known.items() if study is not None} | self.studies


def without_study_names(identity: Mapping[str, Any]) -> dict[str, Any]:
    """Return the identity of an experiment without the names of studies that have a key of their own.

    The key already gives the name of the study.
    """
    found = dict(identity)
    for name in STUDIES.names():
        if isinstance(found.get(name), Mapping):
            found[name] = {key: value for key, value in found[name].items() if key != "name"}
    return found
