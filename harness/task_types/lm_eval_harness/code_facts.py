"""What a Python file of a task of lm-evaluation-harness defines and imports, read off its syntax: nothing runs.

facts = facts_of(path, path.stat().st_mtime_ns)        # facts.digest, facts.imports, facts.names, facts.broken
registered_filter("ACP_grammar_filter", folder)        # 'acp_utils.ACPGrammarFilter'
"""

import ast
import hashlib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple


class CodeFacts(NamedTuple):
    """Facts read off a Python file without running it."""

    digest: str
    imports: tuple[str, ...]
    names: frozenset[str] | None
    "Defined at its top; None where others may be."
    broken: str
    "Why it is not Python; empty where it is."
    filters: dict[str, str]
    "Name in lm-eval's registry -> class."


@lru_cache(maxsize=4096)
def facts_of(path: Path, stamp: int) -> CodeFacts:
    """Read one file as it is at a time of change."""
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError) as error:
        return CodeFacts(digest, (), None, str(error), {})
    names = None if _hides(tree) else frozenset(_defined(tree.body))
    return CodeFacts(digest, tuple(dict.fromkeys(_imports(tree))), names, "", dict(_registered(tree.body)))


def _hides(tree: ast.Module) -> bool:
    """Whether a module may define names that cannot be read off its statements: star imports, globals(), setattr, exec."""
    stars = any(isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names) for node in tree.body)
    called = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    return stars or bool(called & {"globals", "setattr", "exec", "vars"}) or "__getattr__" in set(_defined(tree.body))


def _imports(tree: ast.AST) -> Iterator[str]:
    """Dotted names that may be modules; those of relative imports without their dots."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            yield from filter(None, (base, *(f"{base}.{alias.name}".lstrip(".") for alias in node.names)))


def registered_filter(name: str, folder: Path) -> str | None:
    """`module.Class` of a filter that a Python file of a folder registers under a name; None where none does."""
    for path in sorted(folder.glob("*.py")):
        found = facts_of(path, path.stat().st_mtime_ns).filters.get(name)
        if found:
            return f"{path.stem}.{found}"
    return None


def _registered(body: list[ast.stmt]) -> Iterator[tuple[str, str]]:
    """(name, class) of `@register_filter("name")`."""
    for node in body:
        for mark in node.decorator_list if isinstance(node, ast.ClassDef) else ():
            name = mark.args[0] if isinstance(mark, ast.Call) and len(mark.args) == 1 else None
            called = getattr(mark.func, "id", getattr(mark.func, "attr", "")) if isinstance(mark, ast.Call) else ""
            if called == "register_filter" and isinstance(name, ast.Constant) and isinstance(name.value, str):
                assert isinstance(node, ast.ClassDef)
                yield name.value, node.name


def _defined(body: list[ast.stmt]) -> Iterator[str]:
    """The names that the statements of a module define."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
            yield node.name
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from (alias.asname or alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from (name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name))
        elif isinstance(node, ast.If | ast.Try | ast.With | ast.For):
            parts = (getattr(node, part, []) for part in ("body", "orelse", "finalbody"))
            yield from (name for part in parts for name in _defined(part))
            yield from (name for handler in getattr(node, "handlers", []) for name in _defined(handler.body))
