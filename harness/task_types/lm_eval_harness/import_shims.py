"""What the code of lm-eval's tasks imports of packages that are not installed here, while that code is loaded or runs.

    with stand_ins(tasks_folder):
        from lm_eval.utils import general_detokenize

A package that is installed is left alone.  Stand-ins: `lm_eval.utils` (general_detokenize, weighted_f1_score), `lm_eval.tasks`
(the folder itself, so that its files can import each other), `evaluate` (which many files import without using it: using it is an
error that names the package), and `transformers.data.metrics.squad_metrics` where transformers has it no more.
"""

import importlib.util
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from harness.api.errors import UserError
from harness.scoring.metrics._answers import overlap_or_equal
from harness.scoring.metrics.squad import tokens

SQUAD = "transformers.data.metrics.squad_metrics"


@contextmanager
def stand_ins(tasks: Path | None) -> Iterator[None]:
    """Put the stand-ins among the loaded modules; afterwards remove them and what was imported through them."""
    made = _made(tasks)
    replaces_lm_eval = "lm_eval" in made

    def comes_along(name: str) -> bool:
        """Whether a module is a stand-in, or one that task code imports from below the stand-in of lm_eval."""
        return name in made or (replaces_lm_eval and name.partition(".")[0] == "lm_eval")

    before = {name: module for name, module in sys.modules.items() if comes_along(name)}
    sys.modules.update(made)
    try:
        yield
    finally:
        for name in [name for name in sys.modules if comes_along(name)]:
            del sys.modules[name]
        sys.modules.update(before)


@cache
def _made(tasks: Path | None) -> dict[str, ModuleType]:
    """The stand-ins that this installation needs."""
    made: dict[str, ModuleType] = {}
    if importlib.util.find_spec("lm_eval") is None:
        package = _module("lm_eval", is_package=True)
        utils = _module("lm_eval.utils", general_detokenize=general_detokenize, weighted_f1_score=weighted_f1_score)
        folder = _module("lm_eval.tasks", is_package=True)
        folder.__path__ = [str(tasks)] if tasks else []
        package.utils, package.tasks = utils, folder  # type: ignore[attr-defined]
        made |= {module.__name__: module for module in (package, utils, folder)}
    if importlib.util.find_spec("evaluate") is None:
        made["evaluate"] = _Unavailable("evaluate")
    if importlib.util.find_spec("transformers.data") is None or importlib.util.find_spec("transformers.data.metrics") is None:
        squad = _module(SQUAD, compute_f1=compute_f1, compute_exact=compute_exact, get_tokens=tokens)
        made |= {SQUAD.rpartition(".")[0]: _module(SQUAD.rpartition(".")[0], is_package=True, squad_metrics=squad), SQUAD: squad}
    return made


def _module(name: str, *, is_package: bool = False, **contents: Any) -> ModuleType:
    module = ModuleType(name, "A stand-in.")
    if is_package:
        module.__path__ = []
    vars(module).update(contents)
    return module


class _Unavailable(ModuleType):
    """A package that may be imported and not be used."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise UserError(
            f"task code uses the package '{self.__name__}'", found=f"{self.__name__}.{name}", todo=f"pip install {self.__name__}"
        )


def general_detokenize(text: str) -> str:
    """Take away the spaces that tokenised English has before n't, brackets, quotes, full stops, commas and apostrophes."""
    for spaced, joined in ((" n't", "n't"), (" )", ")"), ("( ", "("), ('" ', '"'), (' "', '"')):
        text = text.replace(spaced, joined)
    return re.sub(r" (?=['.,])", "", text)


def weighted_f1_score(items: Sequence[tuple[Any, Any]]) -> float:
    """F1 of each gold label, averaged by how often it is gold; items are (gold, predicted)."""
    golds = [gold for gold, _ in items]
    total = 0.0
    for label in dict.fromkeys(golds):
        both = sum(gold == label == predicted for gold, predicted in items)
        total += golds.count(label) * 2 * both / (golds.count(label) + sum(predicted == label for _, predicted in items))
    return total / len(golds)


def compute_f1(gold: str, predicted: str) -> float:
    """SQuAD 2.0's F1 of two texts: of two empty ones 1, of an empty and another 0."""
    return overlap_or_equal(tokens(predicted), tokens(gold))


def compute_exact(gold: str, predicted: str) -> int:
    """1 where the normalised texts are equal."""
    return int(tokens(gold) == tokens(predicted))
