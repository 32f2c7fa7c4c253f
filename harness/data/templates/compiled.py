"""Templates that can be rendered: compiled once, and every mistake of theirs, or of a row, is a UserError.

    template = compile_template("{{ premise }}, right?", OWN)          # UserError for what is no Jinja2
    template.render({"premise": "..."}, what="the template of field 'text'")      # UserError for whatever goes wrong with a row

Dialects: OWN for tasks of this project, LM_EVAL for files of lm-evaluation-harness; chat templates have theirs (`chat.py`).
Templates that can only write what they are given are not counted while they render, which takes as long as in plain Jinja2.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from jinja2 import Environment, StrictUndefined, TemplateError, TemplateSyntaxError, UndefinedError, meta, nodes

from harness.api.errors import UserError, did_you_mean
from harness.data.templates.counting import can_only_write
from harness.data.templates.environment import LimitedEnvironment
from harness.data.templates.limits import BUDGET, MAX_CHARACTERS, LimitExceeded, too_long
from harness.data.templates.regular_expressions import substitute

MAX_SOURCE = 200_000
"Characters of a template."
_BRACES = re.compile(r"(?<!\{)\{\s*([^\W\d]\w*)\s*\}(?!\})")
STANDS_ALONE = (nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)


class NullWritten(Exception):
    """A template writes a value that is null."""


def _refuse_null() -> None:
    raise NullWritten


class _Nulls(threading.local):
    """Rows of several cells may be rendered at once: each thread counts its own."""

    written = 0


_NULLS = _Nulls()


def _note_null() -> None:
    _NULLS.written += 1


def nulls_written() -> int:
    """How many nulls templates of lm-eval have written as the word None in this thread."""
    return _NULLS.written


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """Two environments that render the same texts: one for templates that can only write, one that counts."""

    plain: Environment
    counting: Environment


def _dialect(*, told: Callable[[], None], filters: Mapping[str, Callable[..., Any]] = {}) -> Dialect:
    options: dict[str, Any] = {"undefined": StrictUndefined, "autoescape": False, "keep_trailing_newline": True, "told": told}
    found = Dialect(plain=LimitedEnvironment(counts=False, **options), counting=LimitedEnvironment(**options))
    for environment in (found.plain, found.counting):
        environment.filters.update(filters)
    return found


def _regex_replace(text: str, pattern: str, replacement: str, count: int = 0) -> str:
    """The filter of lm-eval: re.sub."""
    return str(BUDGET.checked(substitute(pattern, replacement, text, count=count, most=MAX_CHARACTERS)))


OWN = _dialect(told=_refuse_null)
"Of tasks and prompts of this project: a null is an error, never the word None."
LM_EVAL = _dialect(told=_note_null, filters={"regex_replace": _regex_replace})
"Of lm-evaluation-harness: a null is the word None, as there, and counted."


@dataclass(frozen=True, kw_only=True)
class CompiledTemplate:
    """A template that can be rendered."""

    template: Any
    counts: bool

    def render(self, values: Mapping[str, Any], *, what: str) -> str:
        """Its text; raises UserError, with `what` it is, for values that it lacks, whatever it raises, and limits."""
        try:
            if self.counts:
                with BUDGET.lock:
                    BUDGET.start()
                    text = str(self.template.render(values))
            else:
                text = str(self.template.render(values))
        except UserError:
            raise
        except LimitExceeded as error:
            raise _too_much(what, str(error)) from None
        except NullWritten:
            nulls = ", ".join(str(name) for name, value in values.items() if value is None)
            found = f"null in {nulls}" if nulls else "null below a column"
            todo = "write `{{ name or '' }}` where a value may be missing, or mend the row"
            raise UserError(f"{what} writes a value that is null", found=found, todo=todo) from None
        except UndefinedError as error:
            raise UserError(f"{what}: {error}", found="columns " + ", ".join(map(str, values))) from None
        except RecursionError:
            raise _too_much(what, "values or calls too deep inside each other") from None
        except MemoryError:
            raise _too_much(what, "more memory than there is") from None
        except Exception as error:  # a template can make any function of Python raise
            found = f"{type(error).__name__}: {str(error)[:300]}"
            raise UserError(f"{what} failed", expected="columns " + ", ".join(map(str, values)), found=found) from None
        if len(text) > MAX_CHARACTERS:
            raise _too_much(what, str(too_long()))
        return text


def _too_much(what: str, found: str) -> UserError:
    return UserError(f"{what} does more than a template may", found=found, todo="make it simpler, or prepare the rows beforehand")


@lru_cache(maxsize=4096)
def compile_template(source: str, dialect: Dialect) -> CompiledTemplate:
    """A template; raises UserError for what is no Jinja2, or too much of it."""
    tree = parse_template(source, dialect)
    counts = dialect.plain is dialect.counting or not can_only_write(tree)
    environment = dialect.counting if counts else dialect.plain
    return CompiledTemplate(template=_compiled(environment, source), counts=counts)


def _compiled(environment: Environment, source: str) -> Any:
    try:
        with BUDGET.lock:
            BUDGET.start()  # constants are put together while a template is compiled
            return environment.from_string(source)
    except TemplateSyntaxError as error:
        raise _not_jinja(f"{error.message} (line {error.lineno} of the template)") from None
    except TemplateError as error:
        raise _not_jinja(str(error)) from None
    except (RecursionError, MemoryError, SyntaxError, ValueError, OverflowError) as error:  # of Python, whose code it becomes
        raise _not_jinja(f"{type(error).__name__}: {str(error)[:200]}") from None


@lru_cache(maxsize=4096)
def parse_template(source: str, dialect: Dialect) -> nodes.Template:
    """The syntax of a template, which is much faster than to compile it; raises UserError for what would not compile."""
    if len(source) > MAX_SOURCE:
        raise _not_jinja(f"{len(source):,} characters, more than {MAX_SOURCE:,}")
    environment = dialect.counting
    try:
        tree = environment.parse(source)
    except TemplateSyntaxError as error:
        raise _not_jinja(f"{error.message} (line {error.lineno} of the template)") from None
    except (RecursionError, MemoryError, ValueError, OverflowError) as error:
        raise _not_jinja(f"{type(error).__name__}: {str(error)[:200]}") from None
    for kind, node_type, known in (("filter", nodes.Filter, environment.filters), ("test", nodes.Test, environment.tests)):
        unknown = [node.name for node in tree.find_all(node_type) if node.name not in known]
        if unknown:
            near = did_you_mean(unknown[0], [name for name in known if not name.startswith("_")])
            raise _not_jinja(f"no {kind} named '{unknown[0]}'", todo=near)
    if next(tree.find_all(STANDS_ALONE), None) is not None:
        raise _not_jinja("include, import or extends: a template stands alone")
    return tree


def _not_jinja(found: str, *, todo: str = "") -> UserError:
    return UserError("not a Jinja2 template", found=found, todo=todo)


@lru_cache(maxsize=4096)
def names_in(source: str, dialect: Dialect) -> frozenset[str]:
    """The names that a template takes from its row; raises UserError for one that does not parse."""
    return frozenset(meta.find_undeclared_variables(parse_template(source, dialect)) - {*dialect.counting.globals})


@lru_cache(maxsize=4096)
def check_template(source: str, dialect: Dialect, *, what: str) -> None:
    """Raise UserError for what is no Jinja2, and for a template without a name of a column that fails whatever the row is."""
    parts = [part for node in parse_template(source, dialect).body for part in getattr(node, "nodes", [node])]
    if not all(isinstance(part, nodes.TemplateData) for part in parts) and not names_in(source, dialect):
        compile_template(source, dialect).render({}, what=what)


def single_braces(source: str, names: Collection[str]) -> list[str]:
    """The names that a template has in single braces, which write themselves; [] for what is no Jinja2."""
    try:
        texts = [node.data for node in parse_template(source, LM_EVAL).find_all(nodes.TemplateData)]
    except UserError:
        return []
    return list(dict.fromkeys(name for text in texts for name in _BRACES.findall(text) if name in names))


def braces_doubt(found: Sequence[str]) -> str:
    """What is said of names in single braces."""
    named = ", ".join(f"{{{name}}}" for name in found)
    return f"{named}: single braces write themselves; the value of a column stands in double ones, {{{{ {found[0]} }}}}"
