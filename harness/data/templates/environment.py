"""The one kind of Jinja2 environment of this project: a sandbox whose templates can neither hang nor fill the memory.

    environment = LimitedEnvironment(told=refuse)                      # of templates that count what they do
    plain = LimitedEnvironment(told=refuse, counts=False)              # of templates that can only write what they are given

Both give the same texts.  `compiled.py` chooses, and turns whatever a template raises into a UserError.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from functools import update_wrapper
from typing import Any

from jinja2 import nodes
from jinja2.compiler import CodeGenerator
from jinja2.runtime import markup_join
from jinja2.sandbox import ImmutableSandboxedEnvironment, SandboxedEscapeFormatter, SandboxedFormatter
from markupsafe import Markup

from harness.data.templates.counting import with_counters
from harness.data.templates.filters import counted, limited_filters, limited_tests, on_null
from harness.data.templates.limits import (
    A_CALL,
    BUDGET,
    MAX_DEPTH,
    OPERATORS,
    LimitExceeded,
    check_format,
    check_method,
    check_size,
    limited_range,
)


class _LimitedFormat(SandboxedFormatter):
    """`'{:>8}'.format(...)` with limited widths."""

    def format_field(self, value: Any, format_spec: str) -> str:
        check_format(format_spec)
        BUDGET.charge(value)
        return str(BUDGET.checked(super().format_field(value, format_spec)))

    def convert_field(self, value: Any, conversion: Any) -> Any:
        BUDGET.charge(value)
        return super().convert_field(value, conversion)


class _LimitedEscapeFormat(_LimitedFormat, SandboxedEscapeFormatter):
    """The same for texts that are marked as HTML."""


class _Code(CodeGenerator):
    """Python code of templates that calls the environment's own functions where Jinja2 has nothing to override."""

    def visit_ExprStmt(self, node: nodes.ExprStmt, frame: Any) -> None:
        if isinstance(node.node, nodes.Const):  # put there by `with_counters`
            self.writeline(f"environment.spend({node.node.value})")
        else:
            super().visit_ExprStmt(node, frame)

    def write_commons(self) -> None:
        super().write_commons()
        self.writeline("written = environment.written")

    def _output_child_pre(self, node: nodes.Expr, frame: Any, finalize: Any) -> None:
        if not frame.eval_ctx.volatile and not frame.eval_ctx.autoescape and self.environment.written is not str:  # type: ignore[attr-defined]
            self.write("written(")
        else:
            super()._output_child_pre(node, frame, finalize)


class LimitedEnvironment(ImmutableSandboxedEnvironment):
    """A sandbox that counts what templates do, and does not let them do more than they may."""

    code_generator_class = _Code
    intercepted_binops = frozenset(("+", "*", "%", "**"))
    counts = True

    def __init__(self, *, told: Callable[[], None] | None = None, counts: bool = True, **options: Any) -> None:
        """Arguments: `told` is called for a null that becomes a text; `counts` as the class says; the rest is Jinja2's."""
        super().__init__(**options)
        self.counts, self.told = counts, told
        self.globals["range"] = limited_range
        self.globals.pop("lipsum")
        self.binop_table = {**self.binop_table, **OPERATORS}
        self.written: Callable[[Any], str] = _writer(told, counts=counts)
        if told is not None:
            self.filters = on_null(self.filters, told)
        if counts:
            self.filters = limited_filters(self.filters)
            self.tests = limited_tests(self.tests)  # type: ignore[assignment,arg-type]
            self.concat = self._limited_concat  # type: ignore[method-assign]
        else:
            self.filters = {name: function for name, function in self.filters.items() if name != "random"}
            self.intercepted_binops = frozenset()
        self.filters |= {"_weighed": _weighed, "_counted": counted, "_joined": self._joined}
        self.spend = BUDGET.spend

    def _generate(self, source: nodes.Template, name: Any, filename: Any, defer_init: bool = False) -> str:
        with_counters(source, counts=self.counts)
        return super()._generate(source, name, filename, defer_init=defer_init)

    def _joined(self, values: tuple[Any, ...]) -> str:
        """`a ~ b`."""
        if any(hasattr(value, "__html__") for value in values):
            return markup_join(values)
        texts = [self.written(value) for value in values]
        if self.counts:
            check_size(sum(map(len, texts)))
            return str(BUDGET.checked("".join(texts)))
        return "".join(texts)

    def _limited_concat(self, pieces: Any) -> str:
        texts = list(pieces)
        check_size(sum(map(len, texts)))
        return str(BUDGET.checked("".join(texts)))

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """`left + right` and the like, as the limits have it."""
        BUDGET.spend(1)
        return self.binop_table[operator](left, right)

    def call(__self, __context: Any, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        """A call from a template, paid for and checked before it is made."""
        if not __self.counts:
            return super().call(__context, __obj, *args, **kwargs)
        BUDGET.spend(A_CALL)
        owner = getattr(__obj, "__self__", None)
        name = getattr(__obj, "__name__", "")
        if name == "join" and args and not isinstance(args[0], str | list | tuple):
            args = (list(counted(args[0])), *args[1:])
        for arg in (*args, *kwargs.values()):
            BUDGET.charge(arg)
        if type(__obj) is types.BuiltinMethodType and owner is not None:
            check_method(owner, name, args)
        BUDGET.depth += 1
        try:
            if BUDGET.depth > MAX_DEPTH:
                raise LimitExceeded(f"more than {MAX_DEPTH} calls inside each other")
            return BUDGET.checked(super().call(__context, __obj, *args, **kwargs))
        finally:
            BUDGET.depth -= 1

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """`str.format` and `str.format_map`, with limited widths."""
        is_method = isinstance(value, types.MethodType | types.BuiltinMethodType)
        if not is_method or value.__name__ not in ("format", "format_map") or not isinstance(value.__self__, str):
            return None
        text = value.__self__
        formatter = _LimitedEscapeFormat(self, escape=text.escape) if isinstance(text, Markup) else _LimitedFormat(self)
        is_map = value.__name__ == "format_map"

        def formatted(*args: Any, **kwargs: Any) -> str:
            if is_map and (kwargs or len(args) != 1):
                raise TypeError("format_map() takes exactly one argument")
            made = formatter.vformat(text, () if is_map else args, args[0] if is_map else kwargs)
            return type(text)(BUDGET.checked(made))

        return update_wrapper(formatted, value)


def _writer(told: Callable[[], None] | None, *, counts: bool) -> Callable[[Any], str]:
    """What makes a text of each value that a template writes, in place of `str`."""
    if not counts and told is None:
        return str

    def written(value: Any) -> str:
        kind = type(value)
        if kind is str:
            return value
        if value is None and told is not None:
            told()
        if counts and kind is not int:
            BUDGET.charge(value)
            return str(BUDGET.checked(str(value)))
        return str(value)

    return written


def _weighed(value: Any) -> Any:
    """A value, paid for."""
    BUDGET.charge(value)
    return value
