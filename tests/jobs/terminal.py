"""The `dmm` command as tests call it: the type of the fixture, the usual arguments, and its last output."""

import json
from collections.abc import Callable
from typing import Any

# Arguments to exit status, standard output and standard error.
Dmm = Callable[..., tuple[int, str, str]]


def answer(out: str) -> dict[str, Any]:
    return json.loads(out.splitlines()[-1])


def serial(verb: str, *more: str) -> list[str]:
    return [verb, "tiny.yaml", "--store", "store", "--executor", "serial", "--json", *more]
