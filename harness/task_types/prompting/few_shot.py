"""Solved examples before a question, drawn for each question by itself.

draw_shots(pool, example, k=4, module=TASK_TYPES.load("classification"), task="xnli", seed=0)

The draw depends on seed, task and the example's id, not on processes, batches or limits; parallel test sets whose ids are the
same get the same examples in every language.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from harness.api.errors import UserError
from harness.api.randomness import generator

T = TypeVar("T")
SPARE = 8
"Examples drawn beyond those asked for, to replace any that have the question's own text."


def draw(pool: Sequence[T], *, k: int, question: tuple[str, str], seed: int, is_own: Callable[[T], bool]) -> list[T]:
    """Up to k items of a pool in the order drawn, without those that are the question's own; `question` is its task and id."""
    if not k or not pool:
        return []
    rng = generator("few-shot", *question, seed=seed)
    numbers = rng.choice(len(pool), size=min(len(pool), k + SPARE), replace=False)
    return [item for number in numbers if not is_own(item := pool[int(number)])][:k]


def draw_shots(pool: Sequence[Any], example: Any, *, k: int, module: Any, task: str, seed: int) -> list[Any]:
    """Choose k examples of a pool, in the order drawn, none with the texts of the question; UserError if there are too few."""
    own = module.texts(example)
    shots = draw(pool, k=k, question=(task, example.id), seed=seed, is_own=lambda other: module.texts(other) == own)
    if len(shots) < k:
        raise UserError(
            f"there are not enough examples to show {k} of them before each question",
            where=f"task '{task}'",
            expected=f"at least {k} rows with gold and another text than the question",
            found=f"{len(shots)} of {len(pool)} rows",
            todo="--prompt_args with a lower num_fewshot, or with another fewshot_split",
        )
    return shots
