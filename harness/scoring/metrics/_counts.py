"""Micro-averaged F1, precision and recall of counts (correct, predicted, gold).

combine(np.array([1.0, 1.0, 2.0]))["f1"]      # 66.7
"""

import numpy as np

from harness.scoring.metrics._ratio import ratio

KEYS = ("f1", "precision", "recall")


def combine(totals: np.ndarray) -> dict[str, np.ndarray]:
    """Turn totals [..., 3] into micro-averaged F1, precision and recall [...] in percent."""
    correct, predicted, wanted = totals[..., 0], totals[..., 1], totals[..., 2]
    precision, recall = ratio(correct, predicted), ratio(correct, wanted)
    f1 = ratio(2 * precision * recall, precision + recall)
    return {"f1": f1 * 100, "precision": precision * 100, "recall": recall * 100}
