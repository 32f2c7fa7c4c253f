"""Parts of the lm_eval package that task code imports, as far as such code needs them: nothing here evaluates anything.

    from harness.task_types.lm_eval_harness import package_parts
    package_parts.MODULES["lm_eval.utils"]["general_detokenize"]          # what `from lm_eval.utils import ...` gives

Registering does nothing: a filter that code registers is found by its file (`registered_filter` in task_code.py).
"""

import logging
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.scoring.metrics._answers import overlap_or_equal
from harness.scoring.metrics.squad import tokens
from harness.task_types.lm_eval_harness.matches import INVALID, NUMBER, chosen_match


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


class AnswerFilter:
    """What filters of task code are made of."""

    def __init__(self, **options: Any) -> None:
        """Takes whatever a file gives."""

    def apply(self, resps: Any, docs: Any) -> Any:
        """The answers as they are."""
        return resps


class RegexFilter(AnswerFilter):
    """The match of a pattern in each answer."""

    def __init__(self, regex_pattern: str = NUMBER, group_select: int = 0, fallback: str = INVALID) -> None:
        """As the filter `regex`."""
        super().__init__()
        self.regex_pattern, self.regex = regex_pattern, re.compile(regex_pattern)
        self.group_select, self.fallback = group_select, fallback

    def apply(self, resps: Any, docs: Any) -> Any:
        """One list for each request."""

        def one(answer: Any) -> str:
            found = chosen_match(self.regex, answer, self.group_select)
            return self.fallback if found is None else found

        return [[one(answer) for answer in own] for own in resps]


@dataclass
class Instance:
    """A request that task code makes."""

    request_type: str
    doc: Any
    arguments: tuple[Any, ...]
    idx: int
    metadata: Any = None
    resps: list[Any] = field(default_factory=list)
    filtered_resps: dict[str, Any] = field(default_factory=dict)


@dataclass
class TaskSettings:
    """What a task that is a class finds in its `config`: lm-eval's defaults."""

    metadata: dict[str, Any] = field(default_factory=dict)
    generation_kwargs: dict[str, Any] = field(
        default_factory=lambda: {"until": ["\n\n"], "do_sample": False, "temperature": 0.0, "max_gen_toks": 256}
    )


class Task:
    """What tasks that are Python classes derive from."""

    VERSION: Any = None
    DATASET_PATH: str | None = None
    DATASET_NAME: str | None = None
    OUTPUT_TYPE: str | None = None

    def __init__(self, *args: Any, config: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        """Keeps what it is configured with."""
        self.config = TaskSettings(metadata=dict((config or {}).get("metadata") or {}))


class ConfigurableTask(Task):
    """The same, configured by a file."""


class ConfigurableGroup:
    """A group of tasks."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Keeps nothing."""


def registers(*args: Any, **kwargs: Any) -> Callable[[Any], Any]:
    """A decorator that changes nothing."""
    return lambda thing: thing


def mean(values: Sequence[float]) -> float:
    """Their sum by their number."""
    return sum(values) / len(values)


def weighted_mean(items: Sequence[tuple[float, float]]) -> float:
    """Sum of the first parts by the sum of the second."""
    return sum(first for first, _ in items) / sum(second for _, second in items)


def weighted_perplexity(items: Sequence[tuple[float, float]]) -> float:
    """Of (log-likelihood, weight)."""
    return math.exp(-weighted_mean(items))


def metric_max_over_ground_truths(metric_fn: Callable[[Any, Any], float], prediction: Any, ground_truths: Iterable[Any]) -> float:
    """The best of several right answers."""
    return max(metric_fn(prediction, truth) for truth in ground_truths)


MODULES: Mapping[str, Mapping[str, Any]] = {
    "lm_eval": {},
    "lm_eval.utils": {
        "general_detokenize": general_detokenize, "weighted_f1_score": weighted_f1_score, "logging": logging,
        "eval_logger": logging.getLogger("lm-eval"),
    },
    "lm_eval.tasks": {},
    "lm_eval.filters": {},
    "lm_eval.filters.extraction": {"Filter": AnswerFilter, "RegexFilter": RegexFilter},
    "lm_eval.api": {},
    "lm_eval.api.filter": {"Filter": AnswerFilter},
    "lm_eval.api.instance": {"Instance": Instance},
    "lm_eval.api.task": {"Task": Task, "ConfigurableTask": ConfigurableTask},
    "lm_eval.api.group": {"ConfigurableGroup": ConfigurableGroup, "Group": ConfigurableGroup},
    "lm_eval.api.registry": dict.fromkeys(
        ("register_filter", "register_metric", "register_aggregation", "register_task", "register_model"), registers
    ),
    "lm_eval.api.metrics": {
        "mean": mean, "weighted_mean": weighted_mean, "weighted_perplexity": weighted_perplexity,
        "metric_max_over_ground_truths": metric_max_over_ground_truths,
    },
}  # fmt: skip
"Module -> what stands in it; those whose name another begins with are packages."
