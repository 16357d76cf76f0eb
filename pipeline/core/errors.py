"""The tree of all errors that this package raises on purpose.

Each message names the value, the expectation and the remedy.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple


class SettingProblem(NamedTuple):
    """A problem with one setting.

    place holds the keys and list positions that lead to the setting from the group of settings that was
    validated. It is empty if the problem concerns the whole group.
    """

    place: tuple[int | str, ...]
    message: str


class PipelineError(Exception):
    """Root of all errors raised on purpose; any other error that escapes is a defect of this package.

    place is the dotted name of the setting at the start of the message, such as `recipe.epochs`. It is empty
    if the message starts with no setting.
    """

    place: str = ""


@contextmanager
def placed(place: str) -> Iterator[None]:
    """Put the dotted name of a setting in front of the message of any PipelineError raised in this block.

    If the message already starts with the name of a setting, the two names are joined with a dot.
    """
    try:
        yield
    except PipelineError as error:
        found = type(error)(f"{place}.{error}" if error.place else f"{place}: {error}")
        found.place = f"{place}.{error.place}" if error.place else place
        raise found from error


class ConfigError(PipelineError):
    """A setting is unknown, out of range, or contradicts another setting.

    Settings are checked before anything is computed.
    """


class SettingError(ConfigError, ValueError):
    """A setting that validation refuses.

    The class is also a ValueError, because pydantic catches a ValueError from a validator and adds the place
    of the setting. problems lists the problems with settings below that place; it is empty if the message
    says everything.
    """

    def __init__(self, message: str, problems: tuple[SettingProblem, ...] = ()) -> None:
        super().__init__(message)
        self.problems = problems


@contextmanager
def refusing() -> Iterator[None]:
    """Turn a ConfigError raised in this block, inside a validator, into a SettingError.

    Pydantic then adds the place of the setting.
    """
    try:
        yield
    except SettingError:
        raise
    except ConfigError as error:
        raise SettingError(str(error)) from error


class PluginError(ConfigError):
    """A class from outside the package raised an error, or returned something that cannot be used."""


class DataError(PipelineError):
    """The user's data cannot be used as given: missing file, wrong dtype, empty class, id out of range."""


class InputsNotReadError(DataError):
    """The inputs of the data set are needed, but the current command does not read them."""


class ShapeError(PipelineError):
    """Two arrays that must agree in shape differ."""


class StoreError(PipelineError):
    """The store cannot give what was asked for; the message names the file and the remedy."""


class StoreAwayError(StoreError):
    """The store does not answer now (throttled, restarting, not mounted); the same call may work later."""


class StoreUnseenError(StoreAwayError):
    """A machine does not see the store of the run: the folder is not shared with it, or is not mounted."""


class CorruptShardError(StoreError):
    """The content of a file in the store does not agree with its name, its checksums or its metadata."""


class MissingShardsError(StoreError):
    """A whole table was requested, but some of its units, such as models, do not exist yet."""


class TrainingError(PipelineError):
    """A training or a fit cannot be done as described, for example because a phase has no steps."""


class ExecutionError(PipelineError):
    """Tasks could not be run to their end, because workers were lost or no machine had enough resources."""


class TrackingError(PipelineError):
    """The tracking server cannot be reached or refuses a request; the store still keeps every result."""


# Texts in the messages of torch (on a CPU and on a GPU) and of the operating system when memory runs out.
SAID_OF_MEMORY = ("out of memory", "can't allocate memory", "cannot allocate memory", "not enough memory")


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether error means that memory ran out.

    Python and NumPy raise MemoryError. Torch raises RuntimeError, so its message is searched.
    """
    if isinstance(error, MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in SAID_OF_MEMORY)
