"""What the code of lm-eval's tasks imports of packages that are not installed here, while that code is loaded or runs.

    with stand_ins(tasks_folder):
        from lm_eval.utils import general_detokenize

Stand-ins: `lm_eval` (package_parts.py), where the package is not installed; its `lm_eval.tasks` is the folder itself, so that its
files can import each other.  `evaluate`, whose metrics are computed here or refused (evaluate_metrics.py), for it would download
code and run it; where that is allowed the package itself stands there, and loads what is not computed here.  `load_metric`, which
`datasets` has no more.  `transformers.data.metrics.squad_metrics`, where transformers has it no more.
"""

import importlib.util
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from threading import RLock
from types import ModuleType
from typing import Any

from harness.scoring.metrics.squad import tokens
from harness.task_types.lm_eval_harness.evaluate_metrics import evaluate_package, has_package, load, loading
from harness.task_types.lm_eval_harness.package_parts import MODULES, compute_exact, compute_f1

SQUAD = "transformers.data.metrics.squad_metrics"


_one_at_a_time = RLock()
"""Loaded modules are those of all threads: rows are encoded in one and answers read in another, and code of both may want other
stand-ins, which neither may take from the other."""


def _free() -> None:
    """A process that begins as a copy of this one has none of its other threads, so that nothing would give their lock back."""
    global _one_at_a_time
    _one_at_a_time = RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_free)


@contextmanager
def stand_ins(tasks: Path | None, *, downloads: bool = False) -> Iterator[None]:
    """Put the stand-ins among the loaded modules; afterwards remove them and what was imported through them.

    With `downloads` the package evaluate itself is used, where it is installed; raises UserError where it cannot be imported.
    Other threads wait meanwhile; the same one may enter again.
    """
    with _one_at_a_time:
        made = dict(_made(tasks))
        package = evaluate_package() if downloads and has_package() else None
        loads = loading(package.load if package else None) if downloads else load
        if package is None:
            made["evaluate"] = _module("evaluate", load=loads)
        with _among_modules(made), _in_place_of(package, loads):
            yield


@contextmanager
def _among_modules(made: Mapping[str, ModuleType]) -> Iterator[None]:
    """These among the loaded modules, and what stood under their names or comes along with them not."""
    replaces_lm_eval = "lm_eval" in made

    def comes_along(name: str) -> bool:
        """Whether a module is a stand-in, or one that task code imports from below the stand-in of lm_eval."""
        return name in made or (replaces_lm_eval and name.partition(".")[0] == "lm_eval")

    # Copies that are made in one step: other threads import modules meanwhile.
    before = {name: module for name, module in sys.modules.copy().items() if comes_along(name)}
    sys.modules.update(made)
    try:
        yield
    finally:
        for name in [name for name in list(sys.modules) if comes_along(name)]:
            del sys.modules[name]
        sys.modules.update(before)


@contextmanager
def _in_place_of(package: Any, loads: Callable[..., Any]) -> Iterator[None]:
    """The function that loads metrics in place of that of the package evaluate, if given, and of the one that datasets had."""
    import datasets

    lacks, theirs = not hasattr(datasets, "load_metric"), package.load if package else None
    if lacks:
        datasets.load_metric = loads
    if package:
        package.load = loads
    try:
        yield
    finally:
        if package:
            package.load = theirs
        if lacks:
            del datasets.load_metric


def _is_there(name: str) -> bool:
    """Whether a module below a package can be imported, the package not being there included."""
    parts = name.split(".")
    return all(importlib.util.find_spec(".".join(parts[: number + 1])) is not None for number in range(len(parts)))


@cache
def _made(tasks: Path | None) -> dict[str, ModuleType]:
    """The stand-ins that this installation needs, but for evaluate."""
    made: dict[str, ModuleType] = {}
    if importlib.util.find_spec("lm_eval") is None:
        for name, contents in MODULES.items():
            inner = {other.rpartition(".")[2] for other in MODULES if other.rpartition(".")[0] == name}
            made[name] = _module(name, is_package=bool(inner) or name == "lm_eval.tasks", **contents)
        for name in MODULES:
            package, _, own = name.rpartition(".")
            if package:
                setattr(made[package], own, made[name])
        made["lm_eval.tasks"].__path__ = [str(tasks)] if tasks else []
    if not _is_there("transformers.data.metrics"):
        squad = _module(SQUAD, compute_f1=compute_f1, compute_exact=compute_exact, get_tokens=tokens)
        made |= {SQUAD.rpartition(".")[0]: _module(SQUAD.rpartition(".")[0], is_package=True, squad_metrics=squad), SQUAD: squad}
    return made


def _module(name: str, *, is_package: bool = False, **contents: Any) -> ModuleType:
    module = ModuleType(name, "A stand-in.")
    if is_package:
        module.__path__ = []
    vars(module).update(contents)
    return module
