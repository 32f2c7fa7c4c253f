"""Aggregations that task files of lm-evaluation-harness name by `!function` and that are computed here, so that no code runs.

    known_aggregation("utils.weighted_f1_score", folder)      # 'weighted_f1', or None where the function does something else

A function is known by what its file says, never by its name alone: it is imported from `lm_eval.utils`, or its statements are
those of the function there around sklearn's `f1_score`.
"""

import ast
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path

from harness.task_types.lm_eval_harness.task_code import file_of

FUNCTIONS: Mapping[str, str] = {"weighted_f1": "lm_eval_weighted_f1", "micro_f1": "lm_eval_micro_f1"}
"Name of a known aggregation -> metric of this project."
_IMPORTED = {("lm_eval.utils", "weighted_f1_score"): "weighted_f1"}
_AVERAGES = {"weighted": "weighted_f1", "micro": "micro_f1"}
_STATEMENTS = """
unzipped_list = list(zip(*items{strict}))
golds = unzipped_list[0]
preds = unzipped_list[1]
fscore = f1_score(golds, preds, average="{average}")
return fscore
"""
_SKLEARN = ("sklearn.metrics", "f1_score")


def known_aggregation(reference: str, folder: Path) -> str | None:
    """The aggregation that a function is; None where it is none of those computed here, or cannot be read."""
    path = file_of(reference, folder)
    return _known(path, reference.rpartition(".")[2], path.stat().st_mtime_ns) if path else None


@lru_cache(maxsize=1024)
def _known(path: Path, name: str, stamp: int) -> str | None:
    """The same for a file as it is at a time of change."""
    try:
        body = ast.parse(path.read_bytes()).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    bound = [node for node in body if name in _names(node)]
    if len(bound) != 1:
        return None
    if isinstance(bound[0], ast.ImportFrom):
        return next((_IMPORTED.get(origin) for origin, own in _imports(bound[0]) if own == name), None)
    if not isinstance(bound[0], ast.FunctionDef):
        return None
    return _same_statements(bound[0], body)


def _same_statements(function: ast.FunctionDef, body: list[ast.stmt]) -> str | None:
    """The average of sklearn's F1 that a function gives of its `items`, if it does nothing else."""
    inner = function.body
    if inner and isinstance(inner[0], ast.Expr) and isinstance(inner[0].value, ast.Constant):
        inner = inner[1:]  # its docstring
    given = [argument.arg for argument in function.args.args]
    imports = [pair for node in body if isinstance(node, ast.ImportFrom) for pair in _imports(node)]
    others = [node for node in body if "f1_score" in _names(node) and not isinstance(node, ast.ImportFrom)]
    if given != ["items"] or function.decorator_list or (_SKLEARN, "f1_score") not in imports or others:
        return None
    told = [ast.dump(node) for node in inner]
    for average, name in _AVERAGES.items():
        for strict in ("", ", strict=True", ", strict=False"):
            if told == [ast.dump(node) for node in ast.parse(_STATEMENTS.format(average=average, strict=strict)).body]:
                return name
    return None


def _imports(node: ast.ImportFrom) -> Iterator[tuple[tuple[str, str], str]]:
    """((module, name there), name here) of an import."""
    for alias in node.names:
        yield (("" if node.level else node.module or "", alias.name), alias.asname or alias.name)


def _names(node: ast.stmt) -> set[str]:
    """The names that a statement at the top of a module may bind; those inside of `if` and `try` too."""
    found: set[str] = set()
    for each in ast.walk(node) if not isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef) else (node,):
        if isinstance(each, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
            found.add(each.name)
        elif isinstance(each, ast.ImportFrom | ast.Import):
            found |= {alias.asname or alias.name for alias in each.names}
        elif isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store):
            found.add(each.id)
    return found
