"""Reads and writes YAML by the core schema of YAML 1.2, for config files and for `--set`.

PyYAML alone follows YAML 1.1, where 00017 is 15, 1:30 is 90, `on` is true and 5e-4 is text. Source: YAML
1.2.2, section 10.3. Hexadecimal and octal numbers are not accepted as numbers.
"""

import re
from typing import Any

import yaml

# Limits for the nesting and the number of values. A config has about six levels and a few hundred values, so
# a text beyond these limits is a mistake, or an attempt to exhaust the memory.
DEEPEST, MOST_VALUES = 40, 200_000

_PREFIX = "tag:yaml.org,2002:"
_NULL = re.compile(r"(?:~|null|Null|NULL|)")
_BOOL = re.compile(r"(?:true|True|TRUE|false|False|FALSE)")
_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_FLOAT = re.compile(
    r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)
# The forms of values without quotes that are not text. The order matters, because an integer also has the
# form of a float.
_FORMS = {"null": _NULL, "bool": _BOOL, "int": _INT, "float": _FLOAT}
_MOST_DIGITS = 400


class Yaml12Loader(yaml.SafeLoader):
    """Loads YAML in which numbers, truth values, null and text have the forms of YAML 1.2.

    A number is decimal. The only truth values are `true` and `false`, also written True, TRUE, False or
    FALSE. Any other value without quotes is text, which a setting refuses if it expects another type.

    Raises yaml.YAMLError if lists and mappings are nested more than 40 levels deep. Also raises it on a tag
    (a type written before a value) for anything but text, a number, a truth value, null, a list or a mapping.
    Refused tags are, for example, `!!python/name:os.system`, `!!set` and `!mine`.
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
        """Return the null, truth value or number that a node holds.

        Raises yaml.YAMLError if the text does not have the form of its tag, such as `!!int yes`, or if it has
        more than 400 characters.
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


# PyYAML's own rules of YAML 1.1 are removed: a value without quotes that has none of the forms above is text,
# and every tag except those listed here and below is refused.
Yaml12Loader.yaml_implicit_resolvers = {}
Yaml12Loader.yaml_constructors = {
    tag: yaml.SafeLoader.yaml_constructors[tag]
    for tag in (f"{_PREFIX}str", f"{_PREFIX}seq", f"{_PREFIX}map", None)
}
for _kind, _form in _FORMS.items():
    Yaml12Loader.add_implicit_resolver(f"{_PREFIX}{_kind}", re.compile(rf"(?:{_form.pattern})\Z"), None)
    Yaml12Loader.add_constructor(f"{_PREFIX}{_kind}", Yaml12Loader.construct_number)
# As a key, `<<` merges the settings of another mapping into this one. Anywhere else `<<` is text.
Yaml12Loader.add_implicit_resolver(f"{_PREFIX}merge", re.compile(r"<<\Z"), ["<"])
Yaml12Loader.yaml_constructors[f"{_PREFIX}merge"] = Yaml12Loader.yaml_constructors[f"{_PREFIX}str"]


class Yaml12Dumper(yaml.SafeDumper):
    """Writes YAML that Yaml12Loader reads back.

    Text that YAML 1.2 takes for a number and YAML 1.1 does not, such as 5e-4, is quoted as well.
    """

    def ignore_aliases(self, data: Any) -> bool:
        """Return True, so that a repeated part is written out each time, without anchors and aliases."""
        return True


for _kind, _form in _FORMS.items():
    Yaml12Dumper.add_implicit_resolver(f"{_PREFIX}{_kind}", re.compile(rf"(?:{_form.pattern})\Z"), None)


def load(text: str) -> Any:
    """Return the content of a YAML text.

    The content consists of mappings with text as keys, lists, text, numbers, truth values and None. Raises
    yaml.YAMLError, with a message of one line, if the text is not YAML or holds several documents. The same
    error means that a key is repeated or is not text, a tag is refused, a part contains itself, or DEEPEST or
    MOST_VALUES is exceeded.
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
    """Return n_before plus the number of values in node, where each alias counts like the part it repeats.

    depth is the level at which node is nested. Raises yaml.YAMLError if there are more than MOST_VALUES
    values or more than DEEPEST levels, or if _check_keys refuses a key.
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
    """Raise yaml.YAMLError on a key that is not text or occurs twice.

    The check runs before `<<` merges another mapping, because a key may then replace a merged one.
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
