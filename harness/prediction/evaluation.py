"""The score of a model in memory on rows that are encoded already: how a training chooses among its checkpoints.

score = evaluate(adapter, examples, features, asked=AskedTask(task, module, options, question), machine=machine)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from harness.api.progress import progress_bar
from harness.api.protocols import Feature, Prediction
from harness.prediction.answers import ask_batch, planned_batches
from harness.prediction.batching import num_tokens
from harness.prediction.questions import Question
from harness.runtime.budget import TRAINING, Ceiling
from harness.runtime.machine import Machine
from harness.runtime.processes import end_together, gather, num_ranks, rank
from harness.scoring.score import score_value
from harness.specs.task import TaskSpec


class AskedTask(NamedTuple):
    """How a task is put to a model."""

    task: TaskSpec
    module: Any
    "The task type, or its prompt route."
    options: Any
    question: Question


def evaluate(
    adapter: Any,
    examples: Sequence[Any],
    features: Sequence[Feature],
    *,
    asked: AskedTask,
    machine: Machine,
    title: str = "",
    alike: bool = False,
) -> float:
    """The task's score (0-100) of a model in memory, without writing anything: selection on English validation rows.

    `title` is what the bar says, which is gone at the end; none is shown without it.  Several processes share the batches and
    make equally many passes, as a model that is divided among them wants it; `alike`: each asks everything, where one answer
    takes passes of a number that is not known before.
    """
    import torch

    task, module, options, question = asked
    tokens = machine.tokens(train=False, weights=TRAINING * adapter.weight_bytes)  # gradients and moments lie there as well
    ceiling = Ceiling(tokens, is_shared=num_ranks() > 1 and machine.sharding == "full")
    mine: dict[int, Any] = {}
    lengths = [num_tokens(feature) for feature in features]
    bar = progress_bar(title, total=sum(lengths), unit="token", scaled=True, shown=bool(title) and not rank())
    batches = planned_batches(lengths, question, tokens=tokens)
    count, place = (1, 0) if alike else (num_ranks(), rank())
    # No `together`: a process that fails within a pass of a divided model cannot tell the others, and ends.
    with torch.no_grad(), bar:
        for first in range(0, len(batches), count):
            own = batches[min(first + place, len(batches) - 1)]
            ceiling.begin(first + place)
            asked_for = [features[i] for i in own]
            outputs = ask_batch(adapter, asked_for, question, device=machine.device, ceiling=ceiling)
            for i, output in zip(own, outputs, strict=True):
                mine[i] = module.reduce(features[i], output, task=task, options=options)
            bar.update(sum(lengths[i] for batch in batches[first : first + count] for i in batch))
            end_together()
    everyone = {i: partial for part in gather(mine) for i, partial in part.items()}
    partials = [np.asarray(everyone[i]) if question.pooling else everyone[i] for i in range(len(features))]
    predictions = module.decode(examples, features, partials, task=task, options=options)
    records = [{name: getattr(p, name) for name in Prediction.__slots__} for p in predictions]
    machine.metrics_at_hand()
    metrics = [use.metric for use in task.metrics]
    return score_value(records, metrics=metrics, score=task.score, lang=task.train_languages[0])
