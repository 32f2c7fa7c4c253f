"""Metrics of the package `evaluate` that task code asks for by name, computed here: the package itself would download code.

    load("rouge").compute(predictions=["a cat"], references=["the cat"])["rouge1"]          # 0.5

accuracy and f1 are scikit-learn's, rouge is that of the package rouge_score: means over the examples, where `evaluate` gives the
middle of a thousand random resamples.  Any other name is an error that says how the package itself may be used.
"""

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from harness.api.errors import UserError

ALLOW = "pip install evaluate, and allow what it downloads to run with --trust_evaluate_metrics"
ROUGE = ("rouge1", "rouge2", "rougeL", "rougeLsum")


class MissingPackage(UserError):
    """Task code needs a package, or a metric of `evaluate`, that is not here."""


class KnownMetric:
    """What `evaluate.load` gives."""

    def __init__(self, name: str) -> None:
        """Raises UserError for a metric that is not computed here, or whose package is not installed."""
        if name not in METRICS:
            raise MissingPackage(
                f"task code takes the metric '{name}' of the package evaluate", expected=", ".join(METRICS), todo=ALLOW
            )
        self._package = _installed(PACKAGES[name])
        self.name = name

    def compute(self, *, predictions: Sequence[Any], references: Sequence[Any], **options: Any) -> dict[str, Any]:
        """The numbers by name."""
        return METRICS[self.name](self._package, list(predictions), list(references), **options)


def load(name: str, *args: Any, **kwargs: Any) -> KnownMetric:
    """`evaluate.load`; raises UserError for what is not computed here."""
    return KnownMetric(name)


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
    found = {kind: [one[kind].fmeasure for one in scored] for kind in rouge_types}
    return {kind: sum(values) / len(values) if use_aggregator else values for kind, values in found.items()}


class _Tokenizer:
    """A function in the shape that rouge_score takes."""

    def __init__(self, function: Callable[[str], list[str]]) -> None:
        self.tokenize = function


METRICS: Mapping[str, Callable[..., dict[str, Any]]] = {"accuracy": _accuracy, "f1": _f1, "rouge": _rouge}
PACKAGES: Mapping[str, str] = {"accuracy": "sklearn.metrics", "f1": "sklearn.metrics", "rouge": "rouge_score.rouge_scorer"}
