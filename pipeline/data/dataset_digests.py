"""Digests of the content of data sets, kept in this process so that no file is read twice.

A data set is identified by the digest of its content. Paths, sizes and times of files are only keys of the
cache: a changed file is read again, and so is a copy at another path.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.core.errors import DataError, InputsNotReadError
from pipeline.core.fingerprint import canonical, digest, version_of
from pipeline.core.registry import Plugin, identity, revision
from pipeline.core.settings.paths import is_there, parts_of, paths_in
from pipeline.data.dataset import Dataset
from pipeline.data.examples import Examples
from pipeline.data.inputs import FileInputs, UnreadInputs

# Results of reading the files of a data set, ready for JSON:
# {"token": Inputs.token, "files": FileInputs.contents or null, "content": Plugin.content of the data set}.
Content = Mapping[str, Any]


class DatasetDigests:
    """The digests of data sets that this process knows, by `content_key`.

    recall returns the content that another process stored under a key, or None. It is set by
    pipeline.execution.stored_digests.
    """

    def __init__(self) -> None:
        self.recall: Callable[[str], Content | None] = _recall_nothing
        self._contents: dict[str, Content] = {}
        # All three have the key `_settings_and_files`, which needs no examples. Their values are content
        # keys, digests of examples and shapes of inputs.
        self._keys: dict[str, str | None] = {}
        self._digests: dict[str, str] = {}
        self._shapes: dict[str, tuple[int, ...]] = {}

    def get(self, key: str | None) -> Content | None:
        """Return the content known under a key; None if none is known or the key is None."""
        if key is not None and key not in self._contents:
            found = self.recall(key)
            if found is not None and {"token", "files", "content"} <= found.keys():
                self._contents[key] = found
        return None if key is None else self._contents.get(key)

    def read(self, dataset: Dataset) -> Examples:
        """Return the result of `load`, and keep the digests of the data set in this process.

        All files are read in full, unless their digests are known for the same paths, sizes and times. Raises
        the errors of `load`.
        """
        examples = dataset.load()
        inputs, key = examples.inputs, content_key(dataset, examples)
        found = self.get(key)
        if found is not None and isinstance(inputs, FileInputs):
            inputs.adopt(found["files"])
        elif key is not None:
            files = inputs.contents if isinstance(inputs, FileInputs) else None
            self._contents[key] = {"token": inputs.token, "files": files, "content": dataset.content()}
        name = _settings_and_files(dataset)
        self._keys[name], self._digests[name], self._shapes[name] = key, examples.digest, inputs.shape
        return examples

    def outline(self, dataset: Dataset) -> Examples:
        """Return the result of `Dataset.outline`: examples with inputs that are not read.

        The token of the inputs is known if a process has read their files before. Raises the errors of
        `load`.
        """
        examples = dataset.outline()
        key = self._keys[_settings_and_files(dataset)] = content_key(dataset, examples)
        inputs, found = examples.inputs, self.get(key)
        if found is None or not isinstance(inputs, UnreadInputs):
            return examples
        return dataclasses.replace(
            examples, inputs=UnreadInputs(inputs.shape, inputs.dtype, found["token"], inputs.listing)
        )

    def digest(self, dataset: Dataset, *, reads_inputs: bool = True) -> str:
        """Return the digest of the result of `load`, computed once for the same settings and files.

        Raises the errors of `load`. If reads_inputs is false, inputs are not read, and InputsNotReadError is
        raised if the digest of their content is not known.
        """
        name = _settings_and_files(dataset)
        if name not in self._digests:
            examples = self.read(dataset) if reads_inputs else self.outline(dataset)
            self._digests[name] = examples.digest
        return self._digests[name]

    def shape(self, dataset: Dataset) -> tuple[int, ...]:
        """Return the shape of the inputs that `load` returns, found once; raises the errors of `load`."""
        name = _settings_and_files(dataset)
        if name not in self._shapes:
            self.read(dataset)
        return self._shapes[name]

    def content(self, dataset: Dataset, *, reads_inputs: bool = True) -> str:
        """Return Plugin.content of a data set, computed once for the same files.

        For reads_inputs see `digest`.
        """
        name = _settings_and_files(dataset)
        if name not in self._keys and not reads_inputs:
            self.outline(dataset)
        found = self.get(self._keys.get(name))
        if found is None and not reads_inputs:
            raise InputsNotReadError("the files of the data set are not read by this command; run `dmm plan`")
        return dataset.content() if found is None else str(found["content"])

    def of(self, dataset: Dataset) -> tuple[str, Content] | None:
        """Return the content key of a data set and its content; None if the content is not known."""
        key = self._keys.get(_settings_and_files(dataset))
        found = self.get(key)
        return None if key is None or found is None else (key, found)


def _recall_nothing(key: str) -> None:
    return None


DATASET_DIGESTS = DatasetDigests()


def datasets_in(value: Any) -> Iterator[Dataset]:
    """Yield the data sets among the settings below value."""
    if isinstance(value, Dataset):
        yield value
    for part in parts_of(value):
        yield from datasets_in(part)


def contents_of(value: Any, *, reads_inputs: bool = True) -> list[str]:
    """Return Plugin.content of every plug-in below value that has a path among its settings, in order.

    If reads_inputs is false, raises InputsNotReadError if the content of a data set is not known.
    """
    if isinstance(value, Plugin) and any(paths_in(value)):
        own = (
            DATASET_DIGESTS.content(value, reads_inputs=reads_inputs)
            if isinstance(value, Dataset)
            else value.content()
        )
        if own:
            return [own]
    return [content for part in parts_of(value) for content in contents_of(part, reads_inputs=reads_inputs)]


def content_key(dataset: Dataset, examples: Examples) -> str | None:
    """Return the key of a data set's content: a digest of settings, and of paths, sizes and times of files.

    It is None for a data set without files. Raises DataError if size or times of a file cannot be read.
    """
    listing = getattr(examples.inputs, "listing", None)
    if listing is None and not any(paths_in(dataset)):
        return None
    return digest([_settings_and_files(dataset), listing])


def _settings_and_files(dataset: Dataset) -> str:
    return digest(
        canonical(
            [
                identity(dataset),
                revision(dataset),
                [[str(path.absolute()), *_listed(path)] for path in paths_in(dataset)],
            ]
        )
    )


def _listed(path: Path) -> Iterator[list[Any]]:
    """Yield the name and version of the file at path, or of all files below the folder at path.

    Nothing is yielded if path does not exist.
    """
    if not is_there(path):
        return
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        try:
            version = version_of(file)
        except OSError as error:
            raise DataError(
                f"{file} cannot be read ({error.strerror}); make it readable, or remove it"
            ) from error
        if file.is_file():
            yield [file.relative_to(path).as_posix(), *version]
