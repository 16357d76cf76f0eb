"""Settings with a neutral value, which reproduces the behaviour from before the setting existed.

An identity is the part of the settings that fingerprints hold (see pipeline.core.registry.identity). It
leaves out a setting at its neutral value, so a new setting changes no existing identity. The default may
change later. A config that relied on the old default then gets another identity, because its results change.
"""

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, Field
from pydantic.fields import FieldInfo


@dataclass(frozen=True)
class Neutral:
    """The neutral value of a setting, as it appears in an identity.

    value consists of null, truth values, numbers, text, lists and mappings. A setting with in_identity=False
    changes no result, so every identity leaves it out.
    """

    value: Any
    in_identity: bool = True


# Marks that no default is given, so the default is the neutral value. None cannot mark this,
# because None can be a default itself.
SAME = object()


def setting(*, neutral: Any, default: Any = SAME, in_identity: bool = True, **constraints: Any) -> Any:
    """Return the declaration of a setting that has a default.

    neutral is written as in an identity: `{}` for a group of settings that are all neutral, `{"name":
    "digits"}` for a plug-in with neutral settings. Never change it once it is declared. default is the
    neutral value unless another is given; a later version may change it. constraints are those of
    pydantic.Field, such as ge and le. in_identity=False is for a setting that changes no result, such as one
    that decides whether trained weights are kept.
    """
    declared: FieldInfo = Field(default=neutral if default is SAME else default, **constraints)
    declared.metadata.append(Neutral(neutral, in_identity))
    return declared


def neutral_values(settings: type[BaseModel]) -> dict[str, Any]:
    """Return the neutral values that a class of settings declares, by the name of the setting."""
    declared = {name: _neutral(field) for name, field in settings.model_fields.items()}
    return {name: found.value for name, found in declared.items() if found is not None}


def outside_identity(settings: type[BaseModel]) -> frozenset[str]:
    """Return the names of the settings of a class that no identity holds."""
    declared = {name: _neutral(field) for name, field in settings.model_fields.items()}
    return frozenset(name for name, found in declared.items() if found is not None and not found.in_identity)


def is_neutral(spelled: Any, neutral: Any) -> bool:
    """Return whether a setting, written as in an identity, equals a neutral value.

    1 and 1.0 are equal, 1 and true are not, and `{}` differs from null.
    """
    if isinstance(spelled, dict) and isinstance(neutral, dict):
        return spelled.keys() == neutral.keys() and all(
            is_neutral(part, neutral[name]) for name, part in spelled.items()
        )
    if isinstance(spelled, list | tuple) and isinstance(neutral, list | tuple):
        return len(spelled) == len(neutral) and all(map(is_neutral, spelled, neutral))
    return isinstance(spelled, bool) == isinstance(neutral, bool) and bool(spelled == neutral)


def _neutral(field: FieldInfo) -> Neutral | None:
    return next((part for part in reversed(field.metadata) if isinstance(part, Neutral)), None)
