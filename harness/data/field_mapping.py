"""From the columns of a row to the fields of a task type: paths into structures, Jinja2 templates, or lists of both.

    mapping = compile_fields({"text": "premise", "answer_texts": "answers.text", "source": Template(template="{{ s | trim }}")})
    mapping({"premise": "...", "answers": {"text": [...]}, "s": "..."})     # {'text': ..., 'answer_texts': ..., 'source': ...}

    columns = compile_columns({"text": "premise", "source": Template(template="{{ s | trim }}")})
    columns(block)                                      # {'text': [...], 'source': [...]}, of many rows at once

    compile_fields({"options": ("answer0", "answer1")})                                          # several columns, one list
    compile_fields({"options": Template(template="{{ start }} {{ item }}", each="endings")})     # a text per item of a list

What is written of columns alone (`{{ a }}`, `{{ a | trim }}: {{ b }}`) is put together column by column; Jinja2 renders the
rest row by row.  Templates are sandboxed, limited and compiled once; a name that is no column is an error, never an empty text,
and so is a null that a template writes.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from harness.api.errors import UserError, did_you_mean
from harness.data.columns import Block, NotColumnar
from harness.data.templates.compiled import OWN, CompiledTemplate, braces_doubt, check_template, compile_template, single_braces
from harness.data.templates.compiled import names_in as template_names
from harness.data.templates.limits import MAX_CHARACTERS
from harness.data.templates.plain import WrittenName, plain_parts
from harness.specs.task import FieldSource, Template

Row = Mapping[str, Any]
ITEM = "item"
"What a template with `each` calls the item at hand."


def compile_fields(fields: Mapping[str, FieldSource]) -> Callable[[Row], dict[str, Any]]:
    """A function from a row to its fields; raises UserError for a template that does not parse, then for missing columns."""
    getters = {name: _getter(name, value) for name, value in fields.items()}

    def mapped(row: Row) -> dict[str, Any]:
        return {name: get(row) for name, get in getters.items()}

    return mapped


def compile_columns(fields: Mapping[str, FieldSource]) -> Callable[[Block], dict[str, list[Any]]]:
    """A function from a block of rows to the values of each field; it raises NotColumnar where rows must be mapped one by one."""
    getters = {name: _column_getter(name, value) for name, value in fields.items()}

    def mapped(block: Block) -> dict[str, list[Any]]:
        return {name: get(block) for name, get in getters.items()}

    return mapped


def _column_getter(field: str, value: FieldSource) -> Callable[[Block], list[Any]]:
    if isinstance(value, str):
        return lambda block: block.column(value)
    if isinstance(value, tuple):
        getters = [_column_getter(field, one) for one in value]
        return lambda block: _side_by_side([get(block) for get in getters], len(block))
    written = None if value.each else plain_parts(value.template, OWN)
    if written is None:
        render = _getter(field, value)
        return lambda block: [render(row) for row in block.rows()]
    return lambda block: _written(block, written)


def _side_by_side(columns: Sequence[Sequence[Any]], num_rows: int) -> list[list[Any]]:
    """A list of the values of some columns for each row."""
    return list(map(list, zip(*columns))) if columns else [[] for _ in range(num_rows)]


def _written(block: Block, parts: Sequence[str | WrittenName]) -> list[str]:
    """What templates that write columns alone give, where these hold texts: anything else is asked of the template itself."""
    found: list[list[str]] = []
    for part in parts:
        if isinstance(part, str):
            found.append([part] * len(block))
            continue
        values = block.column(part.name)
        if not all(type(value) is str for value in values):
            raise NotColumnar
        found.append([value.strip() for value in values] if part.trimmed else values)
    texts = found[0] if len(found) == 1 else list(map("".join, zip(*found)))
    if max(map(len, texts), default=0) > MAX_CHARACTERS:
        raise NotColumnar
    return texts


def names_in(template: str, field: str) -> frozenset[str]:
    """The names that a template takes from its row; raises UserError for one that does not parse."""
    _compiled(template, field)
    return template_names(template, OWN)


def check_fields(value: FieldSource, field: str) -> None:
    """Raise UserError for a template of a field that does not parse, or that fails whatever the row is."""
    if isinstance(value, Template):
        what = f"the template of field '{field}'"
        _compiled(value.template, field)
        check_template(value.template, OWN, what=what)
    for one in value if isinstance(value, tuple) else ():
        check_fields(one, field)


def field_doubts(fields: Mapping[str, FieldSource], columns: Collection[str]) -> list[str]:
    """Columns that the templates of some fields have in single braces."""
    doubts = []
    for field, value in fields.items():
        templates = [one.template for one in (value if isinstance(value, tuple) else (value,)) if isinstance(one, Template)]
        found = list(dict.fromkeys(name for text in templates for name in single_braces(text, {*columns, ITEM})))
        doubts += [f"fields.{field}: {braces_doubt(found)}"] if found else []
    return doubts


def column_of(value: FieldSource) -> str | None:
    """The column path of a field, None if it is computed or put together."""
    return value if isinstance(value, str) else None


def _getter(field: str, value: FieldSource) -> Callable[[Row], Any]:
    if isinstance(value, str):
        return lambda row: _look_up(row, value, field)
    if isinstance(value, tuple):
        getters = [_getter(field, one) for one in value]
        return lambda row: [get(row) for get in getters]
    render, each = _renderer(field, value), value.each
    if each is None:
        return render

    def render_each(row: Row) -> list[str]:
        items = _look_up(row, each, field)
        if not isinstance(items, list | tuple):
            raise UserError(f"field '{field}': '{each}' is no list", found=f"{type(items).__name__} {items!r:.60}")
        return [render({**row, ITEM: item}) for item in items]

    return render_each


def _renderer(field: str, value: Template) -> Callable[[Row], str]:
    """A function from a row to the template's text."""
    template, what = _compiled(value.template, field), f"the template of field '{field}'"
    return lambda row: template.render(row, what=what)


def _compiled(text: str, field: str) -> CompiledTemplate:
    try:
        return compile_template(text, OWN)
    except UserError as error:
        raise UserError(f"the template of field '{field}' is not Jinja2", found=error.found, todo=error.todo) from None


def _look_up(row: Row, path: str, field: str) -> Any:
    """The value at a column, or below it: `answers.text` of a structure, or of each in a list of structures."""
    if path in row:
        return row[path]
    value: Any = row
    for part in path.split("."):
        value = _below(value, part, path, field)
    return value


def _below(value: Any, part: str, path: str, field: str) -> Any:
    if value is None:
        return None
    if isinstance(value, list):
        return [_below(item, part, path, field) for item in value]
    if not isinstance(value, Mapping):
        raise UserError(f"field '{field}': '{path}' goes into a value that has no parts", found=f"{value!r:.60}")
    if part not in value:
        raise UserError(
            f"field '{field}': there is no '{part}' of '{path}'",
            found="columns " + ", ".join(value),
            todo=did_you_mean(part, value),
        )
    return value[part]
