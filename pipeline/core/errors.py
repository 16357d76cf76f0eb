"""Every error this package raises on purpose, as one tree.

Each message names the value, the expectation and the remedy.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple


class SettingProblem(NamedTuple):
    """What is wrong with one setting; place is its path below the settings that hold it."""

    place: tuple[int | str, ...]
    message: str


class PipelineError(Exception):
    """Root of all errors raised on purpose; anything else that escapes is a defect of ours.

    place is the dotted setting that the message begins with, empty where it begins with none.
    """

    place: str = ""


@contextmanager
def placed(place: str) -> Iterator[None]:
    """Put a dotted setting before the message of what is raised on purpose about it.

    One below it is joined to it.
    """
    try:
        yield
    except PipelineError as error:
        found = type(error)(f"{place}.{error}" if error.place else f"{place}: {error}")
        found.place = f"{place}.{error.place}" if error.place else place
        raise found from error


class ConfigError(PipelineError):
    """A setting is unknown, out of range or contradicts another; found before any compute is spent."""


class SettingError(ConfigError, ValueError):
    """A setting that validation refuses.

    It is a ValueError too, so that pydantic adds the place of the setting.

    problems holds what is wrong with settings below that place; it is empty where the message says all.
    """

    def __init__(self, message: str, problems: tuple[SettingProblem, ...] = ()) -> None:
        super().__init__(message)
        self.problems = problems


@contextmanager
def refusing() -> Iterator[None]:
    """Turn a ConfigError of what a validator calls into a SettingError, which gets the place of the setting."""
    try:
        yield
    except SettingError:
        raise
    except ConfigError as error:
        raise SettingError(str(error)) from error


class PluginError(ConfigError):
    """A class from outside the package raised something, or returned something that cannot be used."""


class DataError(PipelineError):
    """The user's data cannot be used as given: missing file, wrong dtype, empty class, id out of range."""


class InputsNotReadError(DataError):
    """A command that reads no inputs came to something that needs them."""


class ShapeError(PipelineError):
    """Two arrays that must agree in shape do not."""


class StoreError(PipelineError):
    """The store cannot give what was asked; the message names file and remedy."""


class StoreAwayError(StoreError):
    """The store does not answer for now: throttled, restarting, not mounted; the same call may work later."""


class StoreUnseenError(StoreAwayError):
    """A machine does not see the store that the run works on.

    It does not share the folder, or its mount is missing.
    """


class CorruptShardError(StoreError):
    """A listed file's bytes are not what its name, its checksums or its metadata promise."""


class MissingShardsError(StoreError):
    """A table was asked for whole while some of its members are not there yet."""


class TrainingError(PipelineError):
    """A phase of training cannot run as described, such as one of zero steps."""


class ExecutionError(PipelineError):
    """Tasks could not be run to their end: lost workers, resources that never come."""


class TrackingError(PipelineError):
    """The tracking server refused or cannot be reached; the store keeps everything, so nothing is lost."""


# What torch says on a CPU, on a GPU, and what the operating system says.
SAID_OF_MEMORY = ("out of memory", "can't allocate memory", "cannot allocate memory", "not enough memory")


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether error says that memory ran out.

    Python's or NumPy's MemoryError, or a RuntimeError of torch that speaks of memory.
    """
    if isinstance(error, MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in SAID_OF_MEMORY)
