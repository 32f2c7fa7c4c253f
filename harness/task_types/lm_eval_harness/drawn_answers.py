"""Answers that are drawn at random, as a task of lm-evaluation-harness asks for them: each of a row with a seed of its own.

    features = drawn(features, examples, sampling=config.sampling, repeats=config.repeats, task=task.task, seed=0)

A seed hangs on the run's seed, the task, the row and the number of the answer, and on nothing else.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from harness.api.protocols import Feature
from harness.api.randomness import seed_of
from harness.specs.lm_eval import Sampling


def drawn(
    features: Sequence[Feature], examples: Sequence[Any], *, sampling: Sampling, repeats: int, task: str, seed: int
) -> list[Feature]:
    """The features of rows that are asked for one text each, as often as an answer is drawn."""
    found = []
    for feature in features:
        row = examples[feature.example].id
        for number in range(repeats):
            own = {**sampling.model_dump(), "seed": seed_of("answer", task, row, number, seed=seed) >> 1}
            found.append(replace(feature, part=number, generate={**(feature.generate or {}), "sampling": own}))
    return found
