"""What a metric offers, in the words of type checkers, and the defaults of what it need not say.

A metric is a module of this folder: functions and constants, no class.  `METRICS.load` fills in the defaults of MetricDefaults.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from harness.api.protocols import Json


class Metric(Protocol):
    """A module of harness/scoring/metrics."""

    KEYS: tuple[str, ...]
    "Names of the numbers it gives, the main one first, e.g. ('f1', 'precision', 'recall')."
    SIGNATURE: str
    "What exactly is computed and which script it equals, beginning with its name: 'chunk_f1|seqeval:0.0.12|xtreme:838c13b'."
    GOLDEN: Sequence[Mapping[str, Any]]
    "Cases computed by the official script, six or more, as a literal: {name, predictions, golds, lang, scores: {key: value}}."

    def stats(self, prediction: Json, gold: Json, *, lang: str) -> Sequence[float]:
        """Additive statistics of one example: as many numbers for each, in every language.

        A prediction that is missing is None and counts as wrong.  Raises UserError for values that it was not made for.
        """

    def combine(self, totals: np.ndarray) -> dict[str, np.ndarray]:
        """Scores (0-100) from summed statistics; totals [..., K] -> {key: [...]}: leading axes are bootstrap samples.

        Totals of zero are 0.0 without a warning (`_ratio.py` divides so).
        """


class MetricDefaults:
    """What a metric need not say."""

    CHOOSES_THRESHOLDS = False
    "Whether `prepare` chooses a threshold on the very rows that are scored: tables say so beside the score."
    prepare = None
    """prepare(predictions, golds, *, lang) -> Json mapping: what only the whole set can tell (squad_v2's thresholds).  `stats`
    then takes it as `prepared`, score.json keeps it (`settings`), and bootstrap samples take it as given."""
    all_stats = None
    """all_stats(predictions, golds, *, lang, and `prepared` as for `stats`) -> float64 [n, K]: what `stats` gives, faster.
    Where it raises UserError, `stats` is asked one by one, and says which example it is."""
    unfit_labels = None
    """unfit_labels(labels) -> those of a task's labels that it refuses; None = it takes any.  Asked when a task file is read."""
