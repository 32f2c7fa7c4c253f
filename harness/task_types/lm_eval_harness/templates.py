"""Rows of a task of lm-evaluation-harness -> texts, choices and answers, with the coercions that lm-eval makes.

    renderer = RowRenderer(config=spec.lm_eval, code=code, columns=frozenset(rows[0]))
    renderer.text(row), renderer.choices(row), renderer.target(row)       # a text or a number; a list; a text, number or list

A text that is the name of a column is that column, whatever else it could be; any other is a Jinja2 template over the row, in
lm-eval's dialect: undefined names are errors, the last line break stays, `regex_replace` is a filter, a null is the word None.
"""

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jinja2 import nodes

from harness.api.errors import UserError
from harness.data.templates.compiled import LM_EVAL, compile_template, parse_template
from harness.specs.lm_eval import Function, LmEvalTask, Turns
from harness.task_types.lm_eval_harness.task_code import TaskCode

Row = Mapping[str, Any]
SHOWN = 300


def parsed(template: str) -> nodes.Template:
    """The syntax of a template; raises UserError for what would not compile."""
    return parse_template(template, LM_EVAL)


def num_listed(template: str) -> int | None:
    """How many items a template gives that is nothing but a list (`{{[a, b, c]}}`); None for any other."""
    body = parsed(template).body
    inner = body[0].nodes if len(body) == 1 and isinstance(body[0], nodes.Output) else []
    parts = [node for node in inner if not (isinstance(node, nodes.TemplateData) and not node.data.strip())]
    return len(parts[0].items) if len(parts) == 1 and isinstance(parts[0], nodes.List) else None


def render(template: str, row: Row) -> str:
    """The text of a template for a row; raises UserError where it takes what the row does not have, or fails."""
    return compile_template(template, LM_EVAL).render(row, what=f"the template {template[:80]!r}")


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
            except (SyntaxError, ValueError, MemoryError, RecursionError):
                return text
        return text

    def choices(self, row: Row, turns: Turns | None = None) -> Any:
        """The choices, a list."""
        value = (turns or self.config).doc_to_choice
        if isinstance(value, Function):
            return self.code.function(value)(row)
        if isinstance(value, str):
            found = row[value] if value in self.columns else literal(render(value, row))
            if not isinstance(found, list | tuple):
                raise UserError("doc_to_choice gives no list", found=repr(found)[:SHOWN])
            return found
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
