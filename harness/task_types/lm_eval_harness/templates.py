"""Rows of a task of lm-evaluation-harness -> texts, choices and answers, with the coercions that lm-eval makes.

    renderer = RowRenderer(config=spec.lm_eval, code=code, columns=frozenset(rows[0]))
    renderer.text(row), renderer.choices(row), renderer.target(row)       # a text or a number; a list; a text, number or list

A text that is the name of a column is that column, whatever else it could be; any other is a Jinja2 template over the row, in
lm-eval's dialect: undefined names are errors, the last line break stays, `regex_replace` is a filter.  Templates run in a sandbox
and are compiled once.
"""

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError, meta, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from harness.api.errors import UserError, did_you_mean
from harness.specs.lm_eval import Function, LmEvalTask, Turns
from harness.task_types.lm_eval_harness.task_code import TaskCode

Row = Mapping[str, Any]
SHOWN = 300


def regex_replace(text: str, pattern: str, replacement: str, count: int = 0) -> str:
    """The filter of that name: re.sub."""
    return re.sub(pattern, replacement, text, count=count)


_JINJA = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True)
_JINJA.filters["regex_replace"] = regex_replace


@lru_cache(maxsize=4096)
def compiled(template: str) -> Any:
    """A template; raises UserError where it does not parse."""
    try:
        return _JINJA.from_string(template)
    except TemplateSyntaxError as error:
        raise UserError("not a Jinja2 template", found=f"{error.message} (line {error.lineno} of the template)") from None
    except TemplateError as error:  # an unknown filter
        raise UserError("not a Jinja2 template", found=str(error)) from None


@lru_cache(maxsize=4096)
def parsed(template: str) -> nodes.Template:
    """The syntax of a template, which is much faster than to compile it; raises UserError for what would not compile."""
    try:
        tree = _JINJA.parse(template)
    except TemplateSyntaxError as error:
        raise UserError("not a Jinja2 template", found=f"{error.message} (line {error.lineno} of the template)") from None
    for kind, node_type, known in (("filter", nodes.Filter, _JINJA.filters), ("test", nodes.Test, _JINJA.tests)):
        unknown = [node.name for node in tree.find_all(node_type) if node.name not in known]
        if unknown:
            near = did_you_mean(unknown[0], known)
            raise UserError("not a Jinja2 template", found=f"no {kind} named '{unknown[0]}'", todo=near)
    return tree


def names_in(template: str) -> set[str]:
    """The names that a template takes from its row."""
    return meta.find_undeclared_variables(parsed(template))


def num_listed(template: str) -> int | None:
    """How many items a template gives that is nothing but a list (`{{[a, b, c]}}`); None for any other."""
    body = parsed(template).body
    inner = body[0].nodes if len(body) == 1 and isinstance(body[0], nodes.Output) else []
    parts = [node for node in inner if not (isinstance(node, nodes.TemplateData) and not node.data.strip())]
    return len(parts[0].items) if len(parts) == 1 and isinstance(parts[0], nodes.List) else None


def render(template: str, row: Row) -> str:
    """The text of a template for a row; raises UserError where it takes what the row does not have, or fails."""
    try:
        return str(compiled(template).render(**row))
    except UserError:
        raise
    except Exception as error:
        found = f"{type(error).__name__}: {error}"
        expected = "columns " + ", ".join(row)
        raise UserError(f"the template {template[:80]!r} failed", expected=expected, found=found) from None


def literal(text: str) -> Any:
    """The Python value that a text spells; raises UserError where it spells none."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        raise UserError("a template should give a Python list", found=text[:SHOWN]) from None


@dataclass(frozen=True, kw_only=True)
class RowRenderer:
    """Makes the question, the choices and the answer of a row, as the task's file says."""

    config: LmEvalTask
    code: TaskCode
    columns: frozenset[str]
    "Columns of the scored rows: a text that names one of them stands for its value."

    def text(self, row: Row, turns: Turns | None = None) -> Any:
        """The question: a text, or the number of a choice where the task has choices."""
        value = (turns or self.config).doc_to_text
        if isinstance(value, Function):
            return self.code.function(value)(row)
        if isinstance(value, int):
            return value
        if not isinstance(value, str):
            raise UserError("a task needs doc_to_text", found=repr(value))
        if value in self.columns:
            return row[value]
        text = render(value, row)
        return self._number(text) if text.isdigit() and self.config.doc_to_choice is not None else text

    def target(self, row: Row, turns: Turns | None = None) -> Any:
        """The answer: a text, the number of a choice, or a list."""
        value = (turns or self.config).doc_to_target
        if isinstance(value, Function):
            return self.code.function(value)(row)
        if isinstance(value, int | list | tuple):
            return list(value) if isinstance(value, tuple) else value
        if not isinstance(value, str):
            raise UserError("a task needs doc_to_target", found=repr(value))
        if value in self.columns:
            return row[value]
        text = render(value, row)
        if text.isdigit() and self.config.doc_to_choice is not None:
            return self._number(text)
        if len(text) >= 2 and text[0] == "[" and text[-1] == "]":
            try:
                return ast.literal_eval(text)
            except (SyntaxError, ValueError):
                return text
        return text

    def choices(self, row: Row, turns: Turns | None = None) -> Any:
        """The choices, a list."""
        value = (turns or self.config).doc_to_choice
        if isinstance(value, Function):
            return self.code.function(value)(row)
        if isinstance(value, str):
            return row[value] if value in self.columns else literal(render(value, row))
        if isinstance(value, Mapping):
            return list(value.values())
        if isinstance(value, list | tuple):
            return list(value)
        raise UserError("a task needs doc_to_choice", found=repr(value))

    def field(self, row: Row, value: str | None) -> str | None:
        """A description or what an answer begins with: a column, a template, or nothing."""
        if not value:
            return None
        return str(row[value]) if value in row else render(value, row)

    def prefix(self, row: Row) -> str | None:
        """What the answer to the question asked begins with; an empty text where a template gives one."""
        value = self.config.gen_prefix
        return None if value is None else str(row[value]) if value in self.columns else render(value, row)

    def _number(self, text: str) -> Any:
        """The number that digits spell; as in lm-eval digits of other scripts are no Python number."""
        return literal(text)
