"""Stores of chaos.py: in folders, or on an S3 server of this machine that fails now and then."""

import os
import random
from pathlib import Path


class Folders:
    """Stores in folders; the writers themselves make writes fail."""

    n_failed, fails_by_itself = 0, False

    def __init__(self, root: Path) -> None:
        self._root = root

    def __enter__(self) -> "Folders":
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing."""

    def uri(self, name: str) -> str:
        return str(self._root / name)

    def tables(self, name: str) -> set[str]:
        """Return the names of all shards of all tables: path, range and digest."""
        store = self._root / name
        return {
            str(path.relative_to(store))
            for path in store.glob("*/*/*/*.parquet")
            if path.relative_to(store).parts[0] not in ("quarantine", "failures")
        }

    def worsen(self, one_in: int) -> None:
        """Do nothing: the writers make writes fail."""


class Buckets:
    """Stores on an S3 server in this process, some of whose requests fail."""

    fails_by_itself = True

    def __init__(self) -> None:
        import s3_server

        os.environ |= s3_server.ENVIRONMENT
        self._house, self._whim = s3_server, Whim()

    def __enter__(self) -> "Buckets":
        self._server, self._stop = self._house.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    @property
    def n_failed(self) -> int:
        return self._whim.n_failed

    def uri(self, name: str) -> str:
        return f"s3://{self._house.BUCKET}/{name}"

    def tables(self, name: str) -> set[str]:
        """Return the names of all shards, read from the server's memory.

        This needs no request, so it cannot fail.
        """
        found = [key.removeprefix(f"{name}/") for key in self._house.stored() if key.startswith(f"{name}/")]
        return {
            key
            for key in found
            if key.endswith(".parquet") and not key.startswith(("quarantine/", "failures/"))
        }

    def worsen(self, one_in: int) -> None:
        """Let one request in one_in fail from now on."""
        self._whim.one_in = one_in
        self._server.faults.append(self._whim)


class Whim:
    """A fault that happens to one request in one_in, each time in another way."""

    def __init__(self) -> None:
        self.one_in, self.n_failed, self._rng = 0, 0, random.Random(0)

    @property
    def kind(self) -> int | str:
        return self._rng.choice([503, 500, "cut", "unheard"])

    def happens(self, verb: str, path: str) -> bool:
        hit = self._rng.randrange(self.one_in) == 0
        self.n_failed += hit
        return hit
