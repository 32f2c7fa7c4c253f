"""F1 of each right class, averaged by how often it is right: `weighted_f1_score` of lm-evaluation-harness, sklearn's `weighted`.

    metric = METRICS.load("lm_eval_weighted_f1:f1")
    metric.prepare([{"values": {"f1": [2, 0]}}], [2], lang="de")        # {'classes': ['2']}

A value is the pair of the right class and the predicted one: numbers or texts.  A class that is only predicted weighs nothing.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from harness.scoring.metrics._class_pairs import class_pair
from harness.scoring.metrics._ratio import ratio
from harness.scoring.metrics._task_values import DEFAULT, ValueMetric

KEYS = ("f1",)
SIGNATURE = "lm_eval_weighted_f1|weighted by right classes|over the corpus"
LEAST_CLASSES = 8
"Classes have room in powers of two from here on, so that languages with some classes more or less have as many statistics."


@dataclass(frozen=True, kw_only=True)
class WeightedF1(ValueMetric):
    """The metric of one value; its statistics are those of each right class: right, predicted, both."""

    def prepare(self, predictions: Sequence[Any], golds: Sequence[Any], *, lang: str) -> dict[str, Any]:
        """The right classes of all examples, sorted; raises UserError where no example has the value."""
        super().prepare(predictions, golds, lang=lang)
        values = (prediction["values"].get(self.name) for prediction in predictions if prediction is not None)
        return {"classes": sorted({_pair(value, self.name)[0] for value in values if value is not None}, key=_order)}

    def stats(
        self, prediction: Mapping[str, Any] | None, gold: Any, *, lang: str, prepared: Mapping[str, Any] | None = None
    ) -> Sequence[float]:
        """Three numbers for each class, and as many zeros as make the next power of two."""
        if prepared is None:
            prepared = self.prepare([prediction], [gold], lang=lang)
        classes = prepared["classes"]
        found = [0.0] * (3 * _room(len(classes)))
        values = {} if prediction is None else prediction["values"]
        if self.name in values:
            right, given = _pair(values[self.name], self.name)
            for place, one in enumerate(classes):
                found[3 * place : 3 * place + 3] = [float(right == one), float(given == one), float(right == one == given)]
        return found


def _pair(value: Any, name: str) -> tuple[str, str]:
    """The right class and the predicted one as texts; raises UserError for anything but a pair of single values."""
    right, given = (
        json.dumps(float(one) if isinstance(one, int | float) else one, ensure_ascii=False) for one in class_pair(value, name)
    )
    return right, given


def _order(text: str) -> tuple[bool, float, str]:
    """Numbers by size, then texts, as sklearn sorts classes."""
    is_text = text.startswith('"')
    return is_text, 0.0 if is_text else float(text), text


def _room(number: int) -> int:
    room = LEAST_CLASSES
    while room < number:
        room *= 2
    return room


def _total(totals: np.ndarray) -> dict[str, np.ndarray]:
    right, given, both = (totals[..., part::3] for part in range(3))
    each = ratio(2.0 * both, right + given)
    weighted, weight = np.zeros(totals.shape[:-1]), np.zeros(totals.shape[:-1])
    for place in range(right.shape[-1]):  # class by class, as sklearn adds up a few
        weighted = weighted + right[..., place] * each[..., place]
        weight = weight + right[..., place]
    return {"f1": 100.0 * ratio(weighted, weight)}


@cache
def named(value: str) -> WeightedF1:
    """The metric of one value."""
    own = SIGNATURE if value == DEFAULT else f"{SIGNATURE}|{value}"
    return WeightedF1(
        name=value,
        family="lm_eval_weighted_f1",
        KEYS=KEYS,
        SIGNATURE=own,
        total=_total,
    )


prepare = named(DEFAULT).prepare
stats = named(DEFAULT).stats
combine = named(DEFAULT).combine

GOLDEN: tuple[dict[str, Any], ...] = (
    {
        "name": "three_classes",
        "lang": "en",
        "predictions": [
            {"values": {"value": [0, 0]}},
            {"values": {"value": [0, 1]}},
            {"values": {"value": [1, 1]}},
            {"values": {"value": [2, 1]}},
            {"values": {"value": [2, 2]}},
            {"values": {"value": [2, 2]}},
        ],
        "golds": [0, 0, 1, 2, 2, 2],
        "scores": {"f1": 70.55555555555556},
    },
    {
        "name": "all_right",
        "lang": "de",
        "predictions": [{"values": {"value": [0, 0]}}, {"values": {"value": [1, 1]}}],
        "golds": [0, 1],
        "scores": {"f1": 100.0},
    },
    {
        "name": "all_wrong",
        "lang": "sw",
        "predictions": [{"values": {"value": [0, 1]}}, {"values": {"value": [1, 0]}}],
        "golds": [0, 1],
        "scores": {"f1": 0.0},
    },
    {
        "name": "predicted_only",
        "lang": "en",
        "predictions": [{"values": {"value": [0, 3]}}, {"values": {"value": [0, 0]}}, {"values": {"value": [1, 1]}}],
        "golds": [0, 0, 1],
        "scores": {"f1": 77.77777777777777},
    },
    {
        "name": "one_class_predicted",
        "lang": "de",
        "predictions": [
            {"values": {"value": [0, 1]}},
            {"values": {"value": [1, 1]}},
            {"values": {"value": [2, 1]}},
            {"values": {"value": [1, 1]}},
        ],
        "golds": [0, 1, 2, 1],
        "scores": {"f1": 33.33333333333333},
    },
    {
        "name": "none_of_the_choices",
        "lang": "sw",
        "predictions": [{"values": {"value": [-100, 0]}}, {"values": {"value": [1, 1]}}, {"values": {"value": [0, 0]}}],
        "golds": [-100, 1, 0],
        "scores": {"f1": 55.55555555555555},
    },
    {
        "name": "texts",
        "lang": "en",
        "predictions": [
            {"values": {"value": ["yes", "yes"]}},
            {"values": {"value": ["no", "Yes"]}},
            {"values": {"value": ["no", "no"]}},
        ],
        "golds": ["yes", "no", "no"],
        "scores": {"f1": 77.77777777777777},
    },
    {
        "name": "nine_classes",
        "lang": "de",
        "predictions": [
            {"values": {"value": [0, 0]}},
            {"values": {"value": [1, 1]}},
            {"values": {"value": [2, 0]}},
            {"values": {"value": [3, 3]}},
            {"values": {"value": [4, 0]}},
            {"values": {"value": [5, 5]}},
            {"values": {"value": [6, 0]}},
            {"values": {"value": [7, 7]}},
            {"values": {"value": [8, 0]}},
        ],
        "golds": [0, 1, 2, 3, 4, 5, 6, 7, 8],
        "scores": {"f1": 48.148148148148145},
    },
)
