"""Solved examples before a question, drawn for each question by itself.

draw_shots(ShotPool(rows), example, k=4, module=TASK_TYPES.load("classification"), task="xnli", seed=0)
draw_shots(ShotPool(rows, by_label=True), example, k=6, ...)       # two of each of three labels

The draw depends on seed, task and the example's id, not on processes, batches or limits; parallel test sets whose ids are the
same get the same examples in every language.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
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
    found = [item for number in numbers if not is_own(item := pool[int(number)])][:k]
    if len(found) < k < len(pool):  # the spare ones were the question's own as well: among all there may be others
        found = [item for number in rng.permutation(len(pool)) if not is_own(item := pool[int(number)])][:k]
    return found


@dataclass(frozen=True)
class ShotPool:
    """English examples with gold, of which some are shown."""

    examples: Sequence[Any]
    by_label: bool = False
    "As many of each label as of any other, or one more, in an order that is drawn too."

    @cached_property
    def strata(self) -> Mapping[str, Sequence[Any]]:
        """The examples of each label."""
        found: dict[str, list[Any]] = {}
        for example in self.examples:
            found.setdefault(str(example.gold), []).append(example)
        return dict(sorted(found.items()))

    def drawn(self, *, k: int, question: tuple[str, str], seed: int, is_own: Callable[[Any], bool]) -> list[Any]:
        """Up to k examples in the order drawn."""
        if not self.by_label:
            return draw(self.examples, k=k, question=question, seed=seed, is_own=is_own)
        return list(self._of_each_label(k=k, question=question, seed=seed, is_own=is_own))

    def _of_each_label(self, *, k: int, question: tuple[str, str], seed: int, is_own: Callable[[Any], bool]) -> Iterator[Any]:
        labels = list(self.strata)
        rng = generator("few-shot labels", *question, seed=seed)
        first = rng.permutation(len(labels)).tolist()  # which labels get one more
        order = [labels[first[number % len(labels)]] for number in range(k if labels else 0)]
        left = {
            label: iter(
                draw(self.strata[label], k=count, question=(f"{question[0]} {label}", question[1]), seed=seed, is_own=is_own)
            )
            for label, count in Counter(order).items()
        }
        for number in rng.permutation(len(order)).tolist():
            yield from [one for one in [next(left[order[number]], None)] if one is not None]


def draw_shots(pool: ShotPool, example: Any, *, k: int, module: Any, task: str, seed: int) -> list[Any]:
    """Choose k examples of a pool, in the order drawn, none with the texts of the question; UserError if there are too few."""
    own = module.texts(example)
    shots = pool.drawn(k=k, question=(task, example.id), seed=seed, is_own=lambda other: module.texts(other) == own)
    if len(shots) < k:
        raise UserError(
            f"there are not enough examples to show {k} of them before each question",
            where=f"task '{task}'",
            expected=f"at least {k} rows with gold and another text than the question",
            found=f"{len(shots)} of {len(pool.examples)} rows",
            todo="--prompt_args with a lower num_fewshot, or with another fewshot_split",
        )
    return shots
