"""Metrics of the user's own: `metrics/<name>.py` in a folder of --include_path, in the form of the modules of `metrics/` here.

    modules, errors = metrics_in([Path("my_tasks")], trusted=True)      # read, not run; every mistake with its file
    METRICS.put_own(modules)
    METRICS.load("my_f1").SIGNATURE       # 'my_f1|...|own code 0f3a...': so the code is part of the score stage's key

KEYS and SIGNATURE are literals, so that a task file is checked before its metrics may run.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from pydantic import ValidationError

from harness.api.errors import UserError, collecting
from harness.api.own_modules import OwnModule
from harness.api.registry import METRICS
from harness.scoring.sums import ordered_total
from harness.specs.model import Spec

FOLDER = "metrics"
FLAG = "--trust_metric_code"
NEEDED = ("stats", "combine")
CLOSE = 1e-6
"How far a score may lie from that of a case."


def metrics_in(folders: Iterable[Path], *, trusted: bool) -> tuple[list[OwnModule], list[UserError]]:
    """The metrics below folders of --include_path, by what their files say without being run, and every mistake in them."""
    found: dict[str, OwnModule] = {}
    errors: list[UserError] = []
    for folder in folders:
        place = folder if folder.name == FOLDER else folder / FOLDER
        for path in sorted(place.glob("*.py")) if place.is_dir() else ():
            if path.name.startswith("_"):
                continue
            own = OwnModule(kind="metric", name=path.stem, path=path.resolve(), trusted=trusted, flag=FLAG)
            with collecting(errors):
                _check_name(own, found)
                _check_literals(own)
                found[own.name] = own
    return list(found.values()), errors


def _check_name(own: OwnModule, found: Mapping[str, OwnModule]) -> None:
    if not own.name.isidentifier():
        raise UserError(f"'{own.name}' cannot be the name of a metric", where=str(own.path), expected="letters, digits and _")
    if own.name in METRICS.shipped_names():
        raise UserError(f"there is a metric '{own.name}' already", where=str(own.path), todo="give the file another name")
    other = found.get(own.name)
    if other and other.path != own.path:
        raise UserError(f"metric '{own.name}' exists twice", where=str(own.path), found=str(other.path), todo="rename one")


def _check_literals(own: OwnModule) -> None:
    """What a metric says before it may run; its hash is made here, so that a file that is no Python is told now."""
    keys, signature = own.literal("KEYS"), own.literal("SIGNATURE")
    if not (isinstance(keys, tuple | list) and keys and all(isinstance(key, str) and key.isidentifier() for key in keys)):
        raise UserError("KEYS names the numbers of a metric", where=str(own.path), expected="e.g. ('f1',)", found=f"{keys!r:.80}")
    if not (isinstance(signature, str) and signature):
        expected = "a text that says what exactly is computed, e.g. 'my_f1|lower case|1.0'"
        raise UserError("a metric has a SIGNATURE", where=str(own.path), expected=expected, found=f"{signature!r:.80}")
    assert own.code


class MetricFacts(NamedTuple):
    """What a metric says of itself."""

    doc: str
    keys: tuple[str, ...]
    signature: str


def facts_of(name: str) -> MetricFacts:
    """What a metric says of itself, without running a file of the user's own; raises UserError for an unknown one."""
    own = METRICS.own().get(name)
    if own:
        return MetricFacts(own.doc, keys_of(name), signature_of(own))
    module = METRICS.load(name)
    return MetricFacts(module.__doc__ or "", tuple(module.KEYS), module.SIGNATURE)


def keys_of(name: str) -> tuple[str, ...]:
    """The names of a metric's numbers, without running a file of the user's own."""
    own = METRICS.own().get(name)
    return tuple(own.literal("KEYS") if own else METRICS.load(name).KEYS)


def signature_of(own: OwnModule) -> str:
    """What a metric of the user's own computes, its code included."""
    return f"{own.literal('SIGNATURE')}|own code {own.code}"


def own_signatures(names: Sequence[str]) -> dict[str, str]:
    """The signatures of those metrics that are the user's own; raises UserError where one may not run."""
    return {name: METRICS.load(name).SIGNATURE for name in names if name in METRICS.own()}


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
