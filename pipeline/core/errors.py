"""The tree of all errors that this package raises on purpose.

Each message names the value, the expectation and the remedy.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple


class SettingProblem(NamedTuple):
    """A problem with one setting; place is its path below the settings that hold it."""

    place: tuple[int | str, ...]
    message: str


class PipelineError(Exception):
    """Root of all errors raised on purpose; any other error that escapes is a defect of this package.

    place is the dotted setting at the start of the message; it is empty if the message starts with none.
    """

    place: str = ""


@contextmanager
def placed(place: str) -> Iterator[None]:
    """Put a dotted setting in front of the message of any PipelineError raised inside this block.

    If the message already starts with a setting, the two are joined with a dot.
    """
    try:
        yield
    except PipelineError as error:
        found = type(error)(f"{place}.{error}" if error.place else f"{place}: {error}")
        found.place = f"{place}.{error.place}" if error.place else place
        raise found from error


class ConfigError(PipelineError):
    """A setting is unknown, out of range or contradicts another; found before any compute."""


class SettingError(ConfigError, ValueError):
    """A setting that validation refuses.

    It is a ValueError too, so that pydantic adds the place of the setting. problems lists the problems with
    settings below that place; it is empty if the message says everything.
    """

    def __init__(self, message: str, problems: tuple[SettingProblem, ...] = ()) -> None:
        super().__init__(message)
        self.problems = problems


@contextmanager
def refusing() -> Iterator[None]:
    """Turn a ConfigError raised inside a validator into a SettingError, so that pydantic adds the place."""
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
    """A command that reads no inputs needs them."""


class ShapeError(PipelineError):
    """Two arrays that must agree in shape differ."""


class StoreError(PipelineError):
    """The store cannot give what was asked for; the message names the file and the remedy."""


class StoreAwayError(StoreError):
    """The store does not answer now (throttled, restarting, not mounted); the same call may work later."""


class StoreUnseenError(StoreAwayError):
    """A machine does not see the store of the run: it does not share the folder, or its mount is missing."""


class CorruptShardError(StoreError):
    """The bytes of a listed file do not agree with its name, its checksums or its metadata."""


class MissingShardsError(StoreError):
    """A whole table was requested, but some of its members are missing."""


class TrainingError(PipelineError):
    """A phase of training cannot run as described, for example because it has no steps."""


class ExecutionError(PipelineError):
    """Tasks could not be run to their end: workers were lost, or resources never came."""


class TrackingError(PipelineError):
    """The tracking server refuses or cannot be reached; nothing is lost, as the store keeps everything."""


# Messages of torch on a CPU, of torch on a GPU, and of the operating system.
SAID_OF_MEMORY = ("out of memory", "can't allocate memory", "cannot allocate memory", "not enough memory")


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether error means that memory ran out.

    It is a MemoryError of Python or NumPy, or a RuntimeError of torch whose message is about memory.
    """
    if isinstance(error, MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in SAID_OF_MEMORY)
