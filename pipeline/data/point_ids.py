"""Ids of training points, as users give them in files (.txt, .csv, .npy, .parquet) and configs.

Everything that is not surely an id is refused, because a wrong guess would forget other points. Every refusal
names the value and the place.
"""

import csv
import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from pipeline.core.errors import DataError
from pipeline.core.npy import read_npy
from pipeline.core.settings.paths import why_no_file

# If a file has several columns, the column with one of these names is read.
ID_COLUMNS = ("id", "index")
LARGEST_ID = 2**63 - 1

# An id is a whole number from 0, in decimal digits, without a leading zero, a decimal point, a sign or a
# separator.
_ID = re.compile(r"0|[1-9][0-9]*")
# The name of a single column must show that it holds ids of training points: a column called `label` or
# `class_id` may hold anything.
_SAYS_ID = re.compile(
    r"(?:(?:train|training|point|example)[ _-]?)?(?:ids?|index|indexes|indices|idx)", re.IGNORECASE
)
# Separators that spreadsheets write instead of commas.
_OTHER_SEPARATOR = re.compile(r"[;\t|]")
_PACKED = {b"PK": "a zip archive or a spreadsheet", b"\x1f\x8b": "a gzip archive"}
_LINE_ENDS = re.compile(r"\r\n|\r|\n")
# "1 017" may be two ids, or one id with a space between thousands.
_THOUSANDS = re.compile(r"(?:.*[ \t])?[0-9]{1,3}[ \t]+[0-9]{3}(?:[ \t].*)?")
_WRITE_IDS = "write each id in decimal digits, such as 17"
_ZERO = (
    "its first line is 0, which is the id 0 or the header that pandas writes above a column without a name; "
    "put a line `id` above the ids"
)

_Ids = npt.NDArray[np.int64]


class IdError(ValueError):
    """A value that is not surely an id, or a list that is not surely a list of ids.

    The message gives the reason and the remedy.
    """


def parse_id(text: str) -> int:
    """Return the id that text stands for.

    Raises IdError with the reason, unless text is surely an id.
    """
    if _ID.fullmatch(text):
        return checked_id(int(text)) if len(text) <= len(str(LARGEST_ID)) else _too_large(text)
    if not text:
        raise IdError(f"an id is missing; {_WRITE_IDS}")
    reasons = {
        r"0[0-9]+": "has a leading zero",
        r"[-+][0-9]+": "has a sign",
        r"[0-9]*\.[0-9]*": "has a decimal point",
        r"[0-9]+(?:[,;_:' \t-][0-9]+)+": "holds a separator",
    }
    reason = next(
        (said for form, said in reasons.items() if re.fullmatch(form, text, re.ASCII)),
        "is not a whole number",
    )
    raise IdError(f"{_shown(text)} {reason}; {_WRITE_IDS}")


def checked_id(value: Any) -> int:
    """Return value if it is an id: an int, not a bool, from 0 to 2**63 - 1; raises IdError otherwise."""
    if isinstance(value, str):
        hint = f"write {value}" if _ID.fullmatch(value) else _WRITE_IDS
        raise IdError(f"{_shown(value)} is text, not a whole number; {hint} without quotes or leading zeros")
    if type(value) is not int:
        raise IdError(f"{_shown(value)} is not a whole number; {_WRITE_IDS}")
    if value < 0:
        raise IdError(f"{value} is negative; ids begin at 0")
    return value if value <= LARGEST_ID else _too_large(str(value))


def checked_ids(values: Any) -> tuple[int, ...]:
    """Return the ids of a list in a config; raises IdError if values is no list of different ids."""
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
        raise IdError(
            "expected a list of ids, such as [17, 18, 23]; a range or a single id is written as a list too"
        )
    ids = tuple(checked_id(value) for value in values)
    _check_list([(id_, f"entry {number}") for number, id_ in enumerate(ids, start=1)])
    return ids


def read_ids(path: Path) -> _Ids:
    """Return the ids (n_ids,) in a file, in the order of the file.

    Raises DataError with file, line and value if a value is not surely an id, or if an id occurs twice.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise DataError(
            f"forget set file {path} ends in {path.suffix!r}; expected one of {', '.join(READERS)}"
        )
    missing = why_no_file(path)
    if missing is not None:
        raise DataError(
            f"forget set file {path} {missing}; give the path of a {', '.join(READERS)} file of training ids"
        )
    try:
        with path.open("rb") as file:
            found = reader(file)
        _check_list(found)
    except (OSError, EOFError, ValueError, OverflowError, MemoryError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise DataError(
            f"forget set file {path} cannot be read ({reason}); expected a {path.suffix} file of training ids"
        ) from error
    return np.array([id_ for id_, _ in found], dtype=np.int64)


# The result of a reader: each id with its place in the file, for messages.
_Found = Sequence[tuple[int, str]]


def _read_txt(file: BinaryIO) -> _Found:
    lines = [
        (line.strip(), f"line {number}") for number, line in enumerate(_LINE_ENDS.split(_text(file)), start=1)
    ]
    lines = [(line, place) for line, place in lines if line]
    if lines and lines[0][0].lower() in ID_COLUMNS:
        lines = lines[1:]
    elif lines and lines[0][0] == "0":
        raise IdError(_ZERO)
    unclear = next(((line, place) for line, place in lines if _THOUSANDS.fullmatch(line)), None)
    if unclear is not None:
        raise IdError(
            f"{unclear[1]}: {_shown(unclear[0])} may hold an id with a space between thousands; put each id "
            "on a line of its own"
        )
    separated = next(
        ((line, place) for line, place in lines if re.fullmatch("[0-9]+(?:[,;|][ \t]*[0-9]+)+", line)), None
    )
    if separated is not None:
        raise IdError(
            f"{separated[1]}: {_shown(separated[0])} holds a separator; put each id on a line of its own"
        )
    return [(_at(place, parse_id, word), place) for line, place in lines for word in re.split("[ \t]+", line)]


def _read_csv(file: BinaryIO) -> _Found:
    reader = csv.reader(io.StringIO(_text(file), newline=""), strict=True)
    rows: list[tuple[list[str], str]] = [
        ([cell.strip() for cell in row], f"line {reader.line_num}")
        for row in reader
        if any(cell.strip() for cell in row)
    ]
    if not rows:
        return []
    first, place = rows[0]
    column = _column_of(first, place)
    if column is None:
        column = 0
    else:
        rows = rows[1:]
        _check_no_row_numbers(first, column, [row[column] for row, _ in rows if len(row) == len(first)])
    for row, place in rows:
        if len(row) != len(first):
            raise IdError(f"{place} has {_columns(len(row))} but the first line has {_columns(len(first))}")
    return [(_at(place, parse_id, row[column]), place) for row, place in rows]


def _column_of(first: Sequence[str], place: str) -> int | None:
    """Return the number of the column of ids, if the first row of a file holds the names of columns.

    The result is None if the first row is an id. Raises IdError if the row is neither.
    """
    if list(first) == ["0"]:
        raise IdError(_ZERO)
    # A text of digits without a letter, in any script, is a value and not the name of a column.
    number = next(
        (name for name in first if any(map(str.isdigit, name)) and not any(map(str.isalpha, name))), None
    )
    if number is not None and len(first) > 1:
        raise IdError(
            f"its first line holds {_shown(number)} among {_columns(len(first))}, so it names no columns; "
            "put names above them, `id` among them, or write one id a line"
        )
    if first[0].startswith("#"):
        raise IdError(
            f"{place}: {_shown(first[0])} is a comment, and comments are not read; remove that line"
        )
    if len(first) == 1 and any(sign.isdigit() for sign in first[0]):
        _at(place, parse_id, first[0])
        return None
    return named_column(first)


def named_column(names: Sequence[str]) -> int:
    """Return the number of the column that holds the ids, from the names of all columns.

    It is the column called id or index, or the only column if its name says that it holds ids. Raises IdError
    otherwise.
    """
    folded = [name.strip().lower() for name in names]
    named = [number for number, name in enumerate(folded) if name in ID_COLUMNS]
    shown = ", ".join(map(_shown, names)) or "none"
    if len(named) == 1:
        return named[0]
    if len(named) > 1:
        raise IdError(
            f"its columns are {shown}; leave one column called id or index, so that it is clear which one "
            "holds the ids"
        )
    if len(folded) != 1:
        raise IdError(f"its columns are {shown}; call the one that holds the ids `id`")
    if _OTHER_SEPARATOR.search(folded[0]):
        raise IdError(f"its first line is {shown}; separate columns with commas")
    if not _SAYS_ID.fullmatch(folded[0]):
        raise IdError(
            f"its only column is called {shown}, which may hold something else; call it `id` if it holds ids"
        )
    return 0


def _check_no_row_numbers(names: Sequence[str], column: int, values: Sequence[Any]) -> None:
    """Raise IdError if the column called index may hold the row numbers that pandas writes beside a table."""
    if (
        len(names) > 1
        and names[column].strip().lower() == "index"
        and [str(value) for value in values] == [str(row) for row in range(len(values))]
    ):
        raise IdError(
            "its column 'index' numbers its rows 0, 1, 2, …, as pandas does; call the column that holds the "
            "ids `id`, or leave the others out"
        )


def _read_npy(file: BinaryIO) -> _Found:
    found = read_npy(file)
    if file.read(1):
        raise IdError("more bytes follow its array; save one array of ids")
    if found.dtype.kind == "b":
        raise IdError(f"it holds a mask, bool of shape {found.shape}; save numpy.flatnonzero(mask)")
    if found.dtype.kind not in "iu" or found.ndim != 1:
        raise IdError(f"it holds {found.dtype} of shape {found.shape}; expected integers of shape (n_ids,)")
    return [
        (_at(f"entry {number}", checked_id, value), f"entry {number}")
        for number, value in enumerate(found.tolist(), start=1)
    ]


def _read_parquet(file: BinaryIO) -> _Found:
    # The import takes a moment, and few runs read a user's Parquet files.
    from pipeline.store.parquet import read_stored_column

    column = read_stored_column(file, named_column)
    if not column.is_integer:
        raise IdError(f"column {_shown(column.name)} holds {column.kind}; expected integers")
    values = column.values()
    _check_no_row_numbers(column.names, column.number, values)
    return [
        (_at(f"row {number}", checked_id, value), f"row {number}")
        for number, value in enumerate(values, start=1)
    ]


def _text(file: BinaryIO) -> str:
    content = file.read()
    packed = next((kind for start, kind in _PACKED.items() if content.startswith(start)), None)
    if packed is not None:
        raise IdError(f"it is {packed}, not text; unpack it, or save the sheet as CSV")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise IdError(
            f"it is not UTF-8 text ({error.reason} at byte {error.start}); save it as UTF-8"
        ) from error


def _at(place: str, parse: Callable[[Any], int], value: Any) -> int:
    """Return the result of parse for value; the message of an IdError begins with place."""
    try:
        return parse(value)
    except ValueError as error:
        raise IdError(f"{place}: {error}") from None


def _check_list(found: _Found) -> None:
    """Raise IdError if there is no id, or if one occurs twice: then the values are probably no ids."""
    if not found:
        raise IdError("it is empty: it lists no id; give at least one")
    places: dict[int, str] = {}
    for id_, place in found:
        if id_ in places:
            values = {each for each, _ in found}
            mask = "; these look like a mask of 0 and 1: list the ids instead" if values == {0, 1} else ""
            raise IdError(f"id {id_} appears at {places[id_]} and again at {place}; list every id once{mask}")
        places[id_] = place


def _columns(count: int) -> str:
    return "1 column" if count == 1 else f"{count} columns"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}…"


def _too_large(digits: str) -> int:
    raise IdError(f"{_shown(digits)} is too large for an id, which has at most 63 bits")


READERS: Mapping[str, Callable[[BinaryIO], _Found]] = {
    ".npy": _read_npy,
    ".txt": _read_txt,
    ".csv": _read_csv,
    ".parquet": _read_parquet,
}
