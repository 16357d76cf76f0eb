"""Reads and writes YAML by the core schema of YAML 1.2, the same for config files and for `--set`.

PyYAML follows YAML 1.1, where 00017 is 15, 1:30 is 90, `on` is true and 5e-4 is text. Source: YAML 1.2.2,
section 10.3 (without hexadecimal and octal numbers).
"""

import re
from typing import Any

import yaml

# A config nests about six levels deep and holds a few hundred values. A text beyond these bounds is a
# mistake, or an attempt to exhaust the memory.
DEEPEST, MOST_VALUES = 40, 200_000

_PREFIX = "tag:yaml.org,2002:"
_NULL = re.compile(r"(?:~|null|Null|NULL|)")
_BOOL = re.compile(r"(?:true|True|TRUE|false|False|FALSE)")
_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_FLOAT = re.compile(
    r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)
# The plain scalars that are not text. The order matters, because an integer also has the form of a float.
_FORMS = {"null": _NULL, "bool": _BOOL, "int": _INT, "float": _FLOAT}
_MOST_DIGITS = 400


class Yaml12Loader(yaml.SafeLoader):
    """Loads YAML with the scalars of YAML 1.2.

    A number is decimal, and `true` and `false` are the only truth values. Anything that is not surely a
    number, a truth value or null is text, and the settings refuse it if they expect something else.

    Raises yaml.YAMLError on repeated keys, keys that are not text, other tags, and excessive nesting.
    """

    _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Return the next node; raises yaml.YAMLError if it is nested too deeply."""
        self._depth += 1
        if self._depth > DEEPEST:
            raise yaml.YAMLError(f"it is nested more than {DEEPEST} levels deep{_place(self.peek_event())}")
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1

    def construct_number(self, node: yaml.ScalarNode) -> int | float | bool | None:
        """Return a null, truth value or number.

        Raises yaml.YAMLError if a tag such as !!int stands before other text.
        """
        kind, text = node.tag.removeprefix(_PREFIX), node.value
        if not _FORMS[kind].fullmatch(text):
            raise yaml.YAMLError(f"{text!r} is not a YAML 1.2 {kind}{_place(node)}")
        if len(text) > _MOST_DIGITS:
            raise yaml.YAMLError(
                f"a number has {len(text)} digits, more than any setting accepts{_place(node)}"
            )
        if kind == "null":
            return None
        if kind == "bool":
            return text.lower() == "true"
        return (
            int(text) if kind == "int" else float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
        )


# Nothing else of YAML 1.1 remains: every plain scalar without one of these forms is text, and every other tag
# is refused.
Yaml12Loader.yaml_implicit_resolvers = {}
Yaml12Loader.yaml_constructors = {
    tag: yaml.SafeLoader.yaml_constructors[tag]
    for tag in (f"{_PREFIX}str", f"{_PREFIX}seq", f"{_PREFIX}map", None)
}
for _kind, _form in _FORMS.items():
    Yaml12Loader.add_implicit_resolver(f"{_PREFIX}{_kind}", re.compile(rf"(?:{_form.pattern})\Z"), None)
    Yaml12Loader.add_constructor(f"{_PREFIX}{_kind}", Yaml12Loader.construct_number)
# As a key, << merges the settings of another mapping. Anywhere else it is text.
Yaml12Loader.add_implicit_resolver(f"{_PREFIX}merge", re.compile(r"<<\Z"), ["<"])
Yaml12Loader.yaml_constructors[f"{_PREFIX}merge"] = Yaml12Loader.yaml_constructors[f"{_PREFIX}str"]


class Yaml12Dumper(yaml.SafeDumper):
    """Writes YAML that Yaml12Loader reads back.

    It also quotes text that only YAML 1.2 takes for a number, such as 5e-4.
    """

    def ignore_aliases(self, data: Any) -> bool:
        """Return True: equal parts are written out in full, so that the text contains no anchors."""
        return True


for _kind, _form in _FORMS.items():
    Yaml12Dumper.add_implicit_resolver(f"{_PREFIX}{_kind}", re.compile(rf"(?:{_form.pattern})\Z"), None)


def load(text: str) -> Any:
    """Return the content of a YAML text.

    Mappings have text as keys; other values are lists, text, numbers, truth values and None. Raises
    yaml.YAMLError, whose message is one line, if it is not YAML, holds several documents, repeats a key, or
    refers to itself.
    """
    try:
        loader = Yaml12Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _count(node, 0, 0)
        return loader.construct_document(node)
    except yaml.YAMLError as error:
        raise yaml.YAMLError(" ".join(str(error).split())) from error


def dump(value: Any) -> str:
    """Return value as YAML that `load` reads back, with mappings in their order."""
    return str(yaml.dump(value, Dumper=Yaml12Dumper, sort_keys=False, width=120, allow_unicode=True))


def _count(node: yaml.Node, depth: int, n_before: int) -> int:
    """Return n_before plus the number of values in node with its aliases written out.

    Raises yaml.YAMLError if there are too many values, nesting is too deep, or a key is not allowed.
    """
    n_values = n_before + 1
    if depth > DEEPEST or n_values > MOST_VALUES:
        what = (
            f"is nested more than {DEEPEST} levels deep"
            if depth > DEEPEST
            else f"holds more than {MOST_VALUES:,} values"
        )
        raise yaml.YAMLError(f"with its aliases written out it {what}{_place(node)}")
    if isinstance(node, yaml.MappingNode):
        _check_keys(node)
        for pair in node.value:
            for part in pair:
                n_values = _count(part, depth + 1, n_values)
    elif isinstance(node, yaml.SequenceNode):
        for part in node.value:
            n_values = _count(part, depth + 1, n_values)
    return n_values


def _check_keys(node: yaml.MappingNode) -> None:
    """Raise yaml.YAMLError on a key that is no text or occurs twice.

    This runs before << merges the keys of another mapping.
    """
    seen: set[str] = set()
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode) or key.tag not in (f"{_PREFIX}str", f"{_PREFIX}merge"):
            shown = key.value if isinstance(key, yaml.ScalarNode) else "a list or mapping"
            raise yaml.YAMLError(
                f"key {shown!r} is not text; put a key that is a number, a truth value or null in "
                f"quotes{_place(key)}"
            )
        if key.value in seen:
            raise yaml.YAMLError(f"key {key.value!r} appears twice{_place(key)}")
        seen.add(key.value)


def _place(found: Any) -> str:
    mark = found.start_mark
    return "" if mark is None else f" (line {mark.line + 1}, column {mark.column + 1})"
