"""Metrics of the package `evaluate` that task code asks for by name, computed here: the package itself would download code.

    load("rouge").compute(predictions=["a cat"], references=["the cat"])["rouge1"]          # 0.5
    loading(evaluate.load)("wer")          # others from the package itself, where a run allows that

accuracy and f1 are scikit-learn's, rouge is that of the package rouge_score: of several examples the middle of a thousand
resamples, drawn as `evaluate` draws them where lm-eval has seeded numpy and nothing else was drawn since: where its process has
drawn other numbers before, its own ROUGE differs from one run to another.  These stay ours where the package is allowed: a number
does not hang on that.  Any other name is an error that says how the package itself may be used, or why it lacks the metric.
"""

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.machinery import PathFinder
from typing import Any, NamedTuple

import numpy as np

from harness.api.errors import UserError
from harness.scoring.metrics._answers import overlap_or_equal

INSTALL = "pip install evaluate"
ALLOW = "allow what it downloads to run with --trust_evaluate_metrics"
FETCH = (
    "load it once where the hub can be reached (python -c \"import evaluate; evaluate.load('{name}')\"), which keeps it, "
    "or put its folder ({own}/{own}.py and what lies beside) into the one that this command is started in"
)
ROUGE = ("rouge1", "rouge2", "rougeL", "rougeLsum")
SEED, RESAMPLES = 1234, 1000
"""lm-eval's seed for numpy, with which `evaluate` then begins; and as many resamples as rouge_score draws."""
_MEANS: ContextVar[bool] = ContextVar("plain means", default=False)


class MissingPackage(UserError):
    """Task code needs a package, or a metric of `evaluate`, that is not here."""

    def at(self, where: str) -> "MissingPackage":
        """The same lack, said to be somewhere else."""
        return MissingPackage(self.message, where=where, expected=self.expected, found=self.found, todo=self.todo)


class Percent(float):
    """A number from 0 to 100, where others are from 0 to 1: functions of task code hand it through."""


class KnownMetric:
    """What `evaluate.load` gives."""

    def __init__(self, name: str) -> None:
        """Raises UserError for a metric that is not computed here, or whose package is not installed."""
        if name not in METRICS:
            raise MissingPackage(
                f"task code takes the metric '{name}' of the package evaluate",
                expected=", ".join(METRICS),
                todo=ALLOW if has_package() else f"{INSTALL}, and {ALLOW}",
            )
        self._package = _installed(PACKAGES[name])
        self.name = name

    def compute(self, *, predictions: Sequence[Any], references: Sequence[Any], **options: Any) -> dict[str, Any]:
        """The numbers by name."""
        return METRICS[self.name](self._package, list(predictions), list(references), **options)


def load(name: str, *args: Any, **kwargs: Any) -> KnownMetric:
    """`evaluate.load`; raises UserError for what is not computed here."""
    return KnownMetric(name)


def loading(theirs: Callable[..., Any] | None) -> Callable[..., Any]:
    """`evaluate.load` where the package may download metrics: what is computed here, and all others from its own `load`.

    What that raises comes out as a UserError: the hub is not reached, or the metric needs another package.  None is a package
    that is not installed.
    """

    def either(path: str, *args: Any, **kwargs: Any) -> Any:
        if path in METRICS:
            return KnownMetric(path)
        if theirs is None:
            raise MissingPackage(f"task code takes the metric '{path}' of the package evaluate", todo=INSTALL)
        try:
            return theirs(path, *args, **kwargs)
        except UserError:
            raise
        except Exception as error:
            own = path.rstrip("/").rpartition("/")[2].removesuffix(".py")
            lacks = isinstance(error, ImportError)
            raise MissingPackage(
                f"the package evaluate cannot load the metric '{path}'",
                found=f"{type(error).__name__}: {error}"[:300],
                todo="install what it names beside xlift" if lacks else FETCH.format(name=path, own=own),
            ) from error

    return either


def evaluate_package() -> Any:
    """The package evaluate; raises UserError where it cannot be imported beside what else is installed."""
    try:
        return importlib.import_module("evaluate")
    except ImportError as error:
        raise MissingPackage("the package evaluate cannot be imported", found=str(error), todo=f"{INSTALL} anew") from error


def has_package() -> bool:
    """Whether the package evaluate is installed; a stand-in may stand among the loaded modules."""
    return PathFinder.find_spec("evaluate") is not None


def _installed(package: str) -> Any:
    try:
        return importlib.import_module(package)
    except ImportError:
        told = package.partition(".")[0]
        name = {"sklearn": "scikit-learn", "rouge_score": "rouge-score"}[told]
        raise MissingPackage(f"task code needs the package '{told}'", todo=f"pip install {name}") from None


def _accuracy(package: Any, predictions: list[Any], references: list[Any], **options: Any) -> dict[str, Any]:
    return {"accuracy": float(package.accuracy_score(references, predictions, **options))}


def _f1(package: Any, predictions: list[Any], references: list[Any], **options: Any) -> dict[str, Any]:
    found = package.f1_score(references, predictions, **{"average": "binary", **options})
    return {"f1": found if getattr(found, "size", 1) > 1 else float(found)}


def _rouge(
    package: Any,
    predictions: list[Any],
    references: list[Any],
    *,
    rouge_types: Sequence[str] = ROUGE,
    use_aggregator: bool = True,
    use_stemmer: bool = False,
    tokenizer: Callable[[str], list[str]] | None = None,
) -> dict[str, Any]:
    own = {"tokenizer": _Tokenizer(tokenizer)} if tokenizer else {}
    scorer = package.RougeScorer(rouge_types=list(rouge_types), use_stemmer=use_stemmer, **own)
    scored = [
        (scorer.score if isinstance(wanted, str) else scorer.score_multi)(wanted, given)
        for wanted, given in zip(references, predictions, strict=True)
    ]
    if use_aggregator:
        return _middles(scored, rouge_types)
    return {kind: [one[kind].fmeasure for one in scored] for kind in rouge_types}


def _middles(scored: Sequence[Mapping[str, Any]], kinds: Sequence[str]) -> dict[str, float]:
    """The F measures of all examples: the median of means over resamples, which go on from one kind to the next."""
    draws, num = np.random.RandomState(SEED), len(scored)
    found = {}
    for kind in kinds:
        values = np.array([tuple(one[kind]) for one in scored])  # as rows: numpy adds columns up in another order
        if num < 2 or _MEANS.get():
            found[kind] = float(np.mean(values, axis=0)[-1])
            continue
        means = [np.mean(values[draws.choice(num, size=num)], axis=0)[-1] for _ in range(RESAMPLES)]
        found[kind] = float(np.percentile(means, 50))
    return found


@contextmanager
def plain_means() -> Iterator[None]:
    """Let numbers of several examples be means, without resamples: for asking how much an example weighs in one."""
    token = _MEANS.set(True)
    try:
        yield
    finally:
        _MEANS.reset(token)


def _squad_v2(package: Any, predictions: list[Any], references: list[Any], *, no_answer_threshold: float = 1.0) -> dict[str, Any]:
    """SQuAD 2.0's numbers, of all questions, of those with an answer and of the others, and the best over all thresholds."""
    asked = {one["id"]: one for one in predictions}
    questions = []
    for wanted in references:
        given = asked[wanted["id"]]
        golds = [text for text in wanted["answers"]["text"] if package.tokens(text)] or [""]
        said = package.tokens(given["prediction_text"])
        questions.append(
            _Question(
                exact=float(any(said == package.tokens(gold) for gold in golds)),
                f1=max(overlap_or_equal(said, package.tokens(gold)) for gold in golds),
                has_answer=bool(wanted["answers"]["text"]),
                says_something=bool(given["prediction_text"]),
                nothing=float(given["no_answer_probability"]),
            )
        )
    found: dict[str, Any] = {}
    for prefix, own in (
        ("", questions),
        ("HasAns_", [one for one in questions if one.has_answer]),
        ("NoAns_", [one for one in questions if not one.has_answer]),
    ):
        for name in ("exact", "f1") if own else ():
            scores = [float(not one.has_answer) if one.nothing > no_answer_threshold else getattr(one, name) for one in own]
            found[f"{prefix}{name}"] = Percent(100.0 * sum(scores) / len(own))
            found[f"{prefix}total"] = len(own)
    for name in ("exact", "f1"):
        best, threshold = _best(questions, name)
        found |= {f"best_{name}": Percent(best), f"best_{name}_thresh": threshold}
    return found


class _Question(NamedTuple):
    """One question of SQuAD 2.0 with its answer."""

    exact: float
    f1: float
    has_answer: bool
    says_something: bool
    nothing: float
    "Probability that there is no answer."


def _best(questions: Sequence[_Question], name: str) -> tuple[float, float]:
    """The best score over all thresholds of the probability of no answer, and that threshold."""
    best = current = float(sum(not one.has_answer for one in questions))
    threshold = 0.0
    for one in sorted(questions, key=lambda one: one.nothing):
        current += getattr(one, name) if one.has_answer else -float(one.says_something)
        if current > best:
            best, threshold = current, one.nothing
    return 100.0 * best / len(questions), threshold


class _Tokenizer:
    """A function in the shape that rouge_score takes."""

    def __init__(self, function: Callable[[str], list[str]]) -> None:
        self.tokenize = function


METRICS: Mapping[str, Callable[..., dict[str, Any]]] = {
    "accuracy": _accuracy,
    "f1": _f1,
    "rouge": _rouge,
    "squad_v2": _squad_v2,
}
PACKAGES: Mapping[str, str] = {
    "accuracy": "sklearn.metrics",
    "f1": "sklearn.metrics",
    "rouge": "rouge_score.rouge_scorer",
    "squad_v2": "harness.scoring.metrics.squad",
}
"What each is computed with."
