"""The package of a submitted job: its working folder, with every file and plug-in that the config names.

pack() finds out before the upload if a file or a plug-in is not in the folder.
"""

import contextlib
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from jobs.session import graph_of, load_checked
from pipeline.config import Experiment
from pipeline.core.errors import ConfigError
from pipeline.core.settings.paths import expanded, parts_of, paths_in

MIB = 2**20


@dataclass(frozen=True)
class JobPackage:
    """The working folder of a job and the command that starts in it.

    working_dir is a local folder to upload, the URI of an archive, or None if the job needs no files. n_files
    and n_bytes count what a local folder uploads, before it is packed.
    """

    working_dir: str | None
    entrypoint: str
    n_files: int = 0
    n_bytes: int = 0


def check_here(experiment: Experiment, working_dir: str) -> bool:
    """Check settings and data together, as a run that starts in the working folder does, and return True.

    Return False without these checks if an absolute path of the config does not exist on this machine. It may
    exist on the cluster.
    """
    if any(path.is_absolute() and not path.exists() for path in map(expanded, paths_in(experiment))):
        return False
    with contextlib.chdir(working_dir if Path(working_dir).is_dir() else "."):
        graph_of(experiment, load_checked(experiment))
    return True


def pack(
    experiment: Experiment,
    *,
    config: str | None,
    options: list[str],
    working_dir: str,
    shipped_files: Callable[[Path], list[Path]],
    largest_bytes: int,
) -> JobPackage:
    """Return the package of a job.

    shipped_files returns the files of a folder that Ray uploads, relative to the folder. largest_bytes is the
    largest package that Ray keeps. It is compared with the size before packing, which is rarely smaller than
    the package. Raises ConfigError if a file or plug-in that the config needs is not uploaded, or if the
    files are too large.
    """
    if "://" in working_dir:
        return JobPackage(working_dir, _command(config, options))
    root = Path(working_dir).resolve()
    # The job finds relative paths of the config in its working folder. The path of the config itself is
    # relative to the current folder.
    needed = {f"config {config}": Path(config)} if config else {}
    needed |= {
        f"file {path}": root / path for path in paths_in(experiment) if not expanded(path).is_absolute()
    }
    needed |= {f"plug-in {name}": path for name, path in modules_in(experiment).items()}
    if not needed:
        return JobPackage(None, _command(None, options))
    if not root.is_dir():
        raise ConfigError(
            f"--working-dir {working_dir} is not a folder; give the folder that holds the config, "
            "its files and its plug-ins"
        )
    files = shipped_files(root)
    for name, path in needed.items():
        _check_shipped(name, path.resolve(), root, frozenset(files))
    sizes = {file: (root / file).stat().st_size for file in files}
    n_bytes = sum(sizes.values())
    if n_bytes > largest_bytes:
        raise ConfigError(
            f"the working folder {root} holds {n_bytes / MIB:,.0f} MiB in {len(files):,} files "
            f"(largest: {max(files, key=sizes.__getitem__)}), but Ray uploads at most "
            f"{largest_bytes / MIB:,.0f} MiB; exclude files with .rayignore, put data where every "
            "node can read them, or give another --working-dir"
        )
    inside = str(Path(config).resolve().relative_to(root)) if config else None
    return JobPackage(str(root), _command(inside, options), len(files), n_bytes)


def modules_in(value: Any) -> dict[str, Path]:
    """Return the files of the user's own plug-ins in value, by `module:Class`.

    Plug-ins of this package and of installed packages are left out: they are not uploaded with the folder.
    """
    found = {}
    if isinstance(value, BaseModel):
        file = getattr(sys.modules[type(value).__module__], "__file__", None)
        ours = type(value).__module__.split(".")[0] == "pipeline"
        if file and not ours and not Path(file).is_relative_to(sys.prefix):
            found[f"{type(value).__module__}:{type(value).__qualname__}"] = Path(file)
    for part in parts_of(value):
        found |= modules_in(part)
    return found


def _check_shipped(name: str, path: Path, root: Path, shipped: frozenset[Path]) -> None:
    why = ""
    if not path.is_relative_to(root):
        why = "it lies elsewhere"
    elif not path.exists():
        why = "it does not exist"
    elif not any(path.relative_to(root) in (file, *file.parents) for file in shipped):
        why = ".rayignore or .gitignore leaves it out"
    if why:
        raise ConfigError(
            f"{name} is not uploaded with the working folder {root}: {why}; move it there, or give "
            "a path or URI that every node can read"
        )


def _command(config: str | None, options: list[str]) -> str:
    return shlex.join(["python", "-m", "jobs.run", *([config] if config else []), *options])
