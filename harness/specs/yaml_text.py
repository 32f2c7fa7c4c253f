"""YAML text as plain values under limits: the one place where PyYAML is asked, whatever the text says.

    with top_node(text, file="tasks/xnli.yaml") as (nodes, root):          # Nodes, and the node at the top
        with nodes.inside(root, where=lambda: "tasks/xnli.yaml:1"): ...    # a list or mapping while its values are read
        nodes.scalar(node, where=lambda: "tasks/xnli.yaml:3 chance")       # a text, a finite number, true, false or None
    plain_values(text, file="README.md")                                   # all of a text, without its line numbers

What no value here can be (a tag that is no plain one, half a character, a number without an end) is a UserError that says where.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import yaml

from harness.api.errors import UserError

SAFE_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"The safe loader, the fast one of libyaml where PyYAML was built with it."
DEEPEST = 50
"Levels of a YAML file; an alias that contains itself has no end."
MOST_VALUES = 100_000
"Values of a YAML file, those behind aliases counted each time: a few lines can say billions."
LARGEST = 2**63
"Whole numbers are smaller: stages hold them as JSON, and tensors count in 64 bits."
_TAG = "tag:yaml.org,2002:"
_OTHER_BREAKS = "\x85\u2028\u2029\ufeff"
"Beside line feeds and carriage returns, what ends a line of YAML, or stands before one and takes no room."


@contextlib.contextmanager
def top_node(text: str, *, file: str, dates_are_texts: bool = False) -> Iterator[tuple["Nodes", yaml.Node | None]]:
    """The node at the top of a text, None of an empty one; what is no YAML, also below it, is a UserError with its line."""
    try:
        if not _is_flat(text):
            _check_depth(text, file)
        loader = SAFE_LOADER(text)
        try:
            yield Nodes(loader, dates_are_texts=dates_are_texts), _root(loader, text, file)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"{file}:{mark.line + 1 if mark else 1}"
        if mark and text.splitlines()[mark.line :][:1] and "\t" in text.splitlines()[mark.line][: mark.column + 1]:
            message, todo = "a tab stands where YAML wants spaces", "put spaces in its place"
            raise UserError(message, where=where, todo=todo) from error
        raise UserError(f"not valid YAML: {error.problem}", where=where) from error
    except yaml.reader.ReaderError as error:
        raise UserError(f"not valid YAML: {error}", where=file) from error
    except UnicodeEncodeError as error:
        raise half_a_character(error, where=file) from error


def _root(loader: Any, text: str, file: str) -> yaml.Node | None:
    """The node at the top; of several mistakes that of the syntax is told first."""
    try:
        root: yaml.Node | None = loader.get_single_node()
    except yaml.MarkedYAMLError:
        _check_depth(text, file)
        raise
    return root


def _is_flat(text: str) -> bool:
    """Whether so few brackets, and lines that go so little to the right, cannot nest deep: then a text is parsed once.

    A list or mapping without brackets stands behind blanks and `- ? :` alone, further right than the one around it; a list may
    also stand right below its key.  Each bracket opens one, and in it a pair may be a mapping without brackets of its own.
    """
    if (not text.isascii() and any(sign in text for sign in _OTHER_BREAKS)) or "\r" in text:
        return False
    furthest = max(len(line) - len(line.lstrip(" -?:\t")) for line in text.split("\n"))
    return 2 * (furthest + 1 + text.count("[") + text.count("{")) <= DEEPEST


def _check_depth(text: str, file: str) -> None:
    """Refuse deep nesting before there are nodes: libyaml makes them by recursion, and would end the process without a word."""
    depth = 0
    for event in yaml.parse(text, Loader=SAFE_LOADER):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST + 1:
            raise _too_deep(f"{file}:{event.start_mark.line + 1 if event.start_mark else 1}")


def _too_deep(where: str) -> UserError:
    return UserError("values are nested too deep, or an alias contains itself", where=where, expected=f"at most {DEEPEST} levels")


def half_a_character(error: UnicodeEncodeError, *, where: str) -> UserError:
    """The error for a text that UTF-8 cannot hold, and so neither a file nor a tokenizer."""
    found = ascii(error.object[error.start : error.end][:20])
    return UserError("half a character (a lone surrogate)", where=where, found=found, todo="write the whole character, or none")


class Nodes:
    """The nodes of one text while they become plain values; `where` is asked where a node stands when something is wrong."""

    def __init__(self, loader: Any, *, dates_are_texts: bool) -> None:
        """`dates_are_texts`: a date is the text that is written there; else it is refused, for no value here is a date."""
        self._loader = loader
        self._dates_are_texts = dates_are_texts
        self._open: list[int] = []
        self._count = 0

    @contextlib.contextmanager
    def inside(self, node: yaml.Node, *, where: Callable[[], str]) -> Iterator[None]:
        """While the values of a list or mapping are read; raises UserError for a tag, and for one that has no end."""
        if node.tag not in (f"{_TAG}seq", f"{_TAG}map"):
            raise UserError(f"the tag '{_short(node.tag)}' is not read", where=where(), todo="leave the tag out")
        if id(node) in self._open or len(self._open) > DEEPEST:
            raise _too_deep(where())
        self._open.append(id(node))
        try:
            yield
        finally:
            self._open.pop()

    def scalar(self, node: yaml.Node, *, where: Callable[[], str]) -> Any:
        """The value of a node that is neither list nor mapping; raises UserError for what is no plain value."""
        self._count += 1
        if self._count > MOST_VALUES:
            raise UserError(f"more than {MOST_VALUES:,} values, where those behind an alias count each time", where=where())
        written, kind = str(node.value)[:80], node.tag.removeprefix(_TAG)
        try:
            value = self._loader.construct_object(node)
        except yaml.MarkedYAMLError:
            raise
        except Exception as error:  # PyYAML's constructors let out whatever their arithmetic raises
            found = f"{_short(node.tag)} {written}"
            raise UserError("not a value that YAML can read", where=where(), found=found, todo="quote it") from error
        if kind == "timestamp" and self._dates_are_texts:
            value = str(node.value)
        if isinstance(value, str):
            return value if value.isascii() and "\0" not in value else checked_text(value, where=where())
        if isinstance(value, int | float) and not -LARGEST < value < LARGEST:  # what is no number is not either
            expected = f"a finite number below {LARGEST:.1e}" if isinstance(value, float) else "a whole number of 64 bits"
            raise UserError("not a number that can be used", where=where(), expected=expected, found=written)
        if value is None or isinstance(value, bool | int | float):
            return value
        what = "a date" if kind == "timestamp" else f"the tag '{_short(node.tag)}'"
        raise UserError(f"{what} is not read", where=where(), found=written, todo="quote it")


def checked_text(text: str, *, where: str) -> str:
    """The text; raises UserError for one that no file, name or tokenizer takes."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise half_a_character(error, where=where) from error
    if "\0" in text:
        raise UserError("a NUL character in a text", where=where, found=ascii(text[:80]), todo="leave it out")
    return text


def _short(tag: str) -> str:
    """A tag as people write it."""
    return f"!!{tag.removeprefix(_TAG)}" if tag.startswith(_TAG) else tag


def plain_values(text: str, *, file: str) -> Any:
    """All values of a text; the last of a key that comes twice counts, merge keys are read, dates are texts."""
    with top_node(text, file=file, dates_are_texts=True) as (nodes, root):
        return None if root is None else _plain(nodes, root, file)


def _plain(nodes: Nodes, node: yaml.Node, file: str) -> Any:
    def where() -> str:
        return f"{file}:{node.start_mark.line + 1}"

    if isinstance(node, yaml.ScalarNode):
        return nodes.scalar(node, where=where)
    with nodes.inside(node, where=where):
        if isinstance(node, yaml.SequenceNode):
            return [_plain(nodes, child, file) for child in node.value]
        values: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            if key_node.tag == f"{_TAG}merge":
                merged = _plain(nodes, value_node, file)
                for part in merged if isinstance(merged, list) else [merged]:
                    values = {**(part if isinstance(part, dict) else {}), **values}
                continue
            if not isinstance(key_node, yaml.ScalarNode):
                raise UserError("a key must be a plain word", where=f"{file}:{key_node.start_mark.line + 1}")
            values[nodes.scalar(key_node, where=where)] = _plain(nodes, value_node, file)
        return values
