"""From the columns of a row to the fields of a task type: paths into structures, Jinja2 templates, or lists of both.

    mapping = compile_fields({"text": "premise", "answer_texts": "answers.text", "source": Template(template="{{ s | trim }}")})
    mapping({"premise": "...", "answers": {"text": [...]}, "s": "..."})     # {'text': ..., 'answer_texts': ..., 'source': ...}

    compile_fields({"options": ("answer0", "answer1")})                                          # several columns, one list
    compile_fields({"options": Template(template="{{ start }} {{ item }}", each="endings")})     # a text per item of a list

Templates are sandboxed and compiled once; a name that is no column is an error, never an empty text.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError, UndefinedError, meta
from jinja2.sandbox import ImmutableSandboxedEnvironment

from harness.api.errors import UserError, did_you_mean
from harness.specs.task import FieldSource, Template

Row = Mapping[str, Any]
ITEM = "item"
"What a template with `each` calls the item at hand."
_JINJA = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True)


def compile_fields(fields: Mapping[str, FieldSource]) -> Callable[[Row], dict[str, Any]]:
    """A function from a row to its fields; raises UserError for a template that does not parse, then for missing columns."""
    getters = {name: _getter(name, value) for name, value in fields.items()}

    def mapped(row: Row) -> dict[str, Any]:
        return {name: get(row) for name, get in getters.items()}

    return mapped


def names_in(template: str, field: str) -> set[str]:
    """The names that a template takes from its row; raises UserError for one that does not parse."""
    _compiled(template, field)
    return meta.find_undeclared_variables(_JINJA.parse(template))


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
    template = _compiled(value.template, field)

    def render(row: Row) -> str:
        try:
            return str(template.render(row))
        except UndefinedError as error:
            raise UserError(f"the template of field '{field}': {error}", found="columns " + ", ".join(row)) from None
        except (TemplateError, TypeError, ValueError, ArithmeticError) as error:
            raise UserError(f"the template of field '{field}' failed", found=f"{type(error).__name__}: {error}") from None

    return render


@lru_cache(maxsize=256)
def _compiled(text: str, field: str) -> Any:
    try:
        return _JINJA.from_string(text)
    except TemplateSyntaxError as error:
        raise UserError(
            f"the template of field '{field}' is not Jinja2", found=f"{error.message} (line {error.lineno} of the template)"
        ) from None


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
