"""The code of a metric of the user's own: run where that is allowed, and checked whenever one of its functions gives something.

    METRICS.load("my_f1")            # load_own(own): its module, with SIGNATURE told by own_metrics.py
    wrong_cases("my_f1")             # the cases of its GOLDEN that do not hold

What it raises, statistics that are not finite or change in number, and scores of another shape are UserErrors that name its file.
"""

from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np
from pydantic import ValidationError

from harness.api.errors import UserError
from harness.api.own_modules import OwnModule
from harness.api.registry import METRICS
from harness.scoring.own_metrics import keys_of, signature_of
from harness.scoring.sums import ordered_total
from harness.specs.model import Spec

NEEDED = ("stats", "combine")
CLOSE = 1e-6
"How far a score may lie from that of a case."


def load_own(own: OwnModule) -> ModuleType:
    """The module of a metric, its functions checked whenever they are called; raises UserError where it may not run."""
    signature = signature_of(own)
    module = own.run()
    for name in NEEDED:
        if not callable(getattr(module, name, None)):
            todo = "see harness/scoring/metrics/_protocol.py; accuracy.py there is the shortest"
            raise UserError(f"the metric has no function {name}", where=str(own.path), todo=todo)
    values: dict[str, Any] = {"SIGNATURE": signature, "KEYS": keys_of(own.name)}
    values["stats"] = _guarded(own, module.stats, _are_stats())
    values["combine"] = _guarded(own, module.combine, _are_scores(values["KEYS"]))
    if getattr(module, "prepare", None) is not None:
        values["prepare"] = _guarded(own, module.prepare, lambda found, *_: "" if isinstance(found, Mapping) else "a mapping")
    if getattr(module, "unfit_labels", None) is not None:
        values["unfit_labels"] = _guarded(own, module.unfit_labels, lambda found, *_: "" if isinstance(found, list) else "a list")
    vars(module).update(values)
    return module


class GoldenCase(Spec):
    """A case of GOLDEN: right values, computed elsewhere."""

    name: str = ""
    predictions: list[Any] | tuple[Any, ...]
    golds: list[Any] | tuple[Any, ...]
    lang: str
    scores: dict[str, float]


def wrong_cases(name: str) -> list[UserError]:
    """The cases of a metric's GOLDEN that it does not give, where it holds some."""
    own = METRICS.own()[name]
    errors = []
    for number, given in enumerate(getattr(METRICS.load(name), "GOLDEN", ())):
        where = f"{own.path} GOLDEN[{number}]"
        try:
            case = GoldenCase.model_validate(given)
        except ValidationError as error:
            message, expected = "not a case", "{name, predictions, golds, lang, scores}"
            errors.append(UserError(message, where=where, expected=expected, found=f"{error.errors()[0]['msg']}"))
            continue
        found = _scores(name, case)
        if any(abs(found.get(key, np.inf) - value) > CLOSE for key, value in case.scores.items()):
            errors.append(UserError("this case does not hold", where=where, expected=str(case.scores), found=str(found)))
    return errors


def _scores(name: str, case: GoldenCase) -> dict[str, float]:
    metric = METRICS.load(name)
    more = {} if metric.prepare is None else {"prepared": metric.prepare(case.predictions, case.golds, lang=case.lang)}
    stats = [metric.stats(*pair, lang=case.lang, **more) for pair in zip(case.predictions, case.golds, strict=False)]
    return {key: float(value) for key, value in metric.combine(ordered_total(np.array(stats, dtype=np.float64))).items()}


Check = Callable[..., str]
"""What is wrong with what a function gave: what it should have been; empty where all is well."""


def _guarded(own: OwnModule, function: Callable[..., Any], check: Check) -> Callable[..., Any]:
    """The function; what it raises, or gives and should not, comes out as a UserError that names its file."""
    place = f"{function.__name__} of metric '{own.name}' ({own.path})"

    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            found = function(*args, **kwargs)
            expected = check(found, *args)
        except UserError:
            raise
        except Exception as error:
            raise UserError(f"{place} failed", found=f"{type(error).__name__}: {error}"[:300]) from error
        if expected:
            raise UserError(f"{place} gives what it should not", expected=expected, found=f"{found!r:.120}")
        return found

    return call


def _are_stats() -> Check:
    sizes: list[int] = []

    def check(found: Any, *_: Any) -> str:
        numbers = np.asarray(found, dtype=np.float64)
        if numbers.ndim != 1 or not numbers.size or not np.isfinite(numbers).all():
            return "a sequence of finite numbers"
        if not sizes:
            sizes.append(numbers.size)
        return "" if numbers.size == sizes[0] else f"{sizes[0]} numbers, as for the example before"

    return check


def _are_scores(keys: Sequence[str]) -> Check:
    def check(found: Any, totals: np.ndarray) -> str:
        shape = np.shape(totals)[:-1]
        if not (isinstance(found, Mapping) and set(keys) <= set(found)):
            return f"a mapping with the keys {', '.join(keys)}"
        right = all(np.shape(found[key]) == shape and np.isfinite(found[key]).all() for key in keys)
        return "" if right else f"finite numbers of the shape {shape} (that of the totals without its last axis) for each key"

    return check
