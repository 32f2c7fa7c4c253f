"""What a training stage says of itself: sizes, selection, and whether it has learnt anything.

facts = training_facts(run)
facts["degenerate"]     # None, or why the run has learnt nothing
"""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from harness.api.protocols import Feature
from harness.prediction.batching import NO_LABEL
from harness.training.items import TrainingData
from harness.training.setup import TrainingRun

DEGENERATE_SHARE = 0.98
"A classifier whose final loss is above this share of the entropy of its labels has learnt nothing (domain: XLM-R large on XNLI)."
FINAL_SHARE = 0.1
"The final loss is the mean over this last share of the steps."


def training_facts(run: TrainingRun) -> dict[str, Any]:
    """The content of train.json."""
    progress = run.progress
    steps = len(progress.losses)
    final_loss = float(np.mean(progress.losses[-max(1, int(steps * FINAL_SHARE)) :]))
    chosen_by = [name for name, data in run.data.items() if data.validation_spec]
    facts = {
        "task": "+".join(run.data),
        "steps": steps,
        "planned_steps": run.total_steps,
        "examples": sum(data.num_examples for data in run.data.values()),
        "items": sum(len(data.items) for data in run.data.values()),
        "epochs": round(steps / run.mixture.steps_per_epoch, 4),
        "trained_parameters": _num_trained(run),
        "final_loss": final_loss,
        "best_step": progress.best_step,
        "best_score": progress.best_score,
        "selection": "English validation" if chosen_by else "final checkpoint",
        "stopped_early": progress.stopped_early,
        "degenerate": degenerate(run),
        "truncated_examples": sum(data.num_truncated_examples for data in run.data.values()),
        "removed_overlaps": sum(data.num_removed for data in run.data.values()),
        "dtype": run.precision.name,
    }
    facts |= run.adapter.weight_facts
    unread = list(dict.fromkeys(text for data in run.data.values() for text in data.unread_tests))
    if unread:
        facts["unread_tests"] = unread
    if len(run.data) > 1:
        facts["mixture"] = _shares(run, steps)
        if chosen_by:
            facts["selection"] = f"mean of English validation of {', '.join(chosen_by)}"
    return facts


def _num_trained(run: TrainingRun) -> int:
    """Trained parameters; of a table of words all, though the rows of words that occur nowhere are only decayed."""
    found = sum(parameter.numel() for parameter in run.module.parameters() if parameter.requires_grad)
    return found if run.word_rows is None else found - run.word_rows.rows.numel() + run.word_rows.table.numel()


def _final_losses(run: TrainingRun) -> dict[str, float]:
    """Mean loss of each component over its steps in the last tenth of training; components without one are left out."""
    steps = len(run.progress.losses)
    last: dict[str, list[float]] = {}
    for number in range(steps - max(1, int(steps * FINAL_SHARE)), steps):
        last.setdefault(run.mixture.task_of(number), []).append(run.progress.losses[number])
    return {name: float(np.mean(found)) for name, found in last.items()}


def _shares(run: TrainingRun, steps: int) -> dict[str, dict[str, Any]]:
    """Rate, steps, rows and final loss of each component of a mixture."""
    counts = Counter(run.mixture.task_of(number) for number in range(steps))
    losses = _final_losses(run)
    return {
        name: {
            "rate": round(run.mixture.rates[name], 6),
            "steps": counts[name],
            "examples": data.num_examples,
            "final_loss": losses.get(name),
        }
        for name, data in run.data.items()
    }


def degenerate(run: TrainingRun) -> str | None:
    """Says why a run has learnt nothing: all labels the same, or a loss that knowing their shares alone would give."""
    losses = _final_losses(run)
    found = {name: _degenerate(data, losses[name]) for name, data in run.data.items() if name in losses}
    said = [text if len(run.data) == 1 else f"{name}: {text}" for name, text in found.items() if text]
    return "; ".join(said) or None


def _degenerate(data: TrainingData, final_loss: float) -> str | None:
    """The same of one component."""
    head = data.module.head(data.spec, data.options)
    if head is None or head.kind not in ("sequence", "token", "choice"):
        return None
    entropy = options_entropy(data.items) if head.kind == "choice" else label_entropy(data.items)
    if entropy == 0.0:
        return "all training labels are the same"
    if final_loss >= DEGENERATE_SHARE * entropy:
        is_worse = final_loss > (2 - DEGENERATE_SHARE) * entropy
        relation = "is worse than that" if is_worse else "is that"
        return f"final loss {final_loss:.4f} {relation} of guessing by the shares of the labels ({entropy:.4f})"
    return None


def label_entropy(items: Sequence[Sequence[Feature]]) -> float:
    """Entropy in nats of the classes that the labels name: the loss of a model that knows their shares and nothing else."""
    counts: Counter[int] = Counter()
    for feature in (feature for item in items for feature in item):
        labels = feature.labels if isinstance(feature.labels, list) else [feature.labels]
        counts.update(label for label in labels if isinstance(label, int) and label != NO_LABEL)
    total = sum(counts.values())
    return math.fsum(count / total * math.log(total / count) for count in counts.values()) if len(counts) > 1 else 0.0


def options_entropy(items: Sequence[Sequence[Feature]]) -> float:
    """Mean over examples of ln(number of options): the loss of choosing blindly, in nats."""
    return math.fsum(math.log(len(item)) for item in items) / len(items)
