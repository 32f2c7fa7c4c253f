"""What would decide an undecided hypothesis, and what it costs: more seeds, more test examples, another size.

    for option in advise(found, question, alpha=0.05, runs_per_seed=4, available_items=2.5, candidates=[rung]):
        option.what, option.amount, option.verdict, option.runs

Each option is tried on the evidence as it would be if all estimates stayed what they are: lifts on their lines, the variances
between items, seeds, backbones and families as estimated.  It is a plan, not a promise: estimates move.  Where following it means
looking again, the next look's level is the one to plan for.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from harness.api.errors import UserError
from harness.study.statistics.evidence import Evidence, Rung, seed_noise, with_more_seeds
from harness.study.statistics.questions import ScaleAnswer, ScaleQuestion
from harness.study.statistics.verdicts import VERDICTS

MOST_SEEDS = 20
"More than this on every backbone are not advised."
_UNDECIDED = VERDICTS.index("undecided")


@dataclass(frozen=True, kw_only=True, slots=True)
class Option:
    """An addition that would decide the hypothesis."""

    what: Literal["seeds", "examples", "size"]
    amount: float
    "More seeds on every backbone; times as many test examples; non-embedding parameters of the backbone to add."
    verdict: str
    "The verdict that it would come to."
    runs: int
    "Training runs that it takes."
    text: str


def advise(
    found: Evidence,
    question: ScaleQuestion,
    *,
    alpha: float,
    runs_per_seed: int,
    available_items: float = 1.0,
    candidates: Sequence[Rung] = (),
) -> list[Option]:
    """The options that would decide one study's hypothesis, cheapest first; none where nothing tried would.

    runs_per_seed: training runs of one seed of one backbone; available_items: how many times as many test examples there are;
    candidates: backbones that could be added, of families that have a line.
    """
    if seed_noise(found) is None:
        return [second_seed(found, runs_per_seed=runs_per_seed)]
    answer = question.answer(found)
    options = _seeds_option(found, question, answer, alpha=alpha, runs_per_seed=runs_per_seed)
    options += _items_option(found, question, answer, alpha=alpha, available=available_items)
    options += _size_options(found, question, answer, alpha=alpha, runs_per_seed=runs_per_seed, candidates=candidates)
    return sorted(options, key=lambda option: option.runs)


def second_seed(found: Evidence, *, runs_per_seed: int) -> Option:
    """What comes first where one seed leaves their variance unknown."""
    text = "a second seed on every backbone: without it their variance is unknown, and nothing can be planned"
    return Option(what="seeds", amount=1, verdict="undecided", runs=runs_per_seed * len(found.ladder), text=text)


def seeds_text(more: int, backbones: int, runs: int) -> str:
    """More seeds with their cost, in words."""
    where = f"each of {backbones} backbones" if backbones > 1 else "the backbone"
    return f"{more} more {'seed' if more == 1 else 'seeds'} on {where}: {runs} training runs"


def items_text(factor: float) -> str:
    """More test examples, in words."""
    return f"{factor:.1f} times as many test examples: no training run"


def size_text(rung: Rung, seeds: int, runs: int) -> str:
    """Another backbone with its cost, in words."""
    return f"{rung.backbone} ({rung.size:.2g} parameters) with {seeds} seeds: {runs} training runs"


def seeds_that_decide(
    found: Evidence, question: ScaleQuestion, *, alpha: float | np.ndarray, most: int = MOST_SEEDS
) -> tuple[np.ndarray, np.ndarray]:
    """The fewest more seeds on every backbone that would decide (0: up to `most` none would), and the verdict's place."""
    answer = question.answer(found)
    fewest = np.zeros(np.shape(answer.reference.value), dtype=int)
    codes = np.full_like(fewest, _UNDECIDED)
    for more in range(1, most + 1):
        found_codes = question.answer(with_more_seeds(found, more), assumed=answer.assumed).codes(alpha)
        new = (fewest == 0) & (found_codes != _UNDECIDED)
        fewest, codes = np.where(new, more, fewest), np.where(new, found_codes, codes)
        if (fewest > 0).all():
            break
    return fewest, codes


def _seeds_option(
    found: Evidence, question: ScaleQuestion, answer: ScaleAnswer, *, alpha: float, runs_per_seed: int
) -> list[Option]:
    fewest, code = seeds_that_decide(found, question, alpha=alpha)
    if not fewest:
        return []
    used = [rung for rung in found.ladder if rung.family in answer.lines]
    more = int(fewest)
    runs = more * runs_per_seed * len(used)
    return [Option(what="seeds", amount=more, verdict=VERDICTS[int(code)], runs=runs, text=seeds_text(more, len(used), runs))]


def _items_option(
    found: Evidence, question: ScaleQuestion, answer: ScaleAnswer, *, alpha: float, available: float
) -> list[Option]:
    for factor in np.geomspace(1, max(available, 1), 21)[1:] if available > 1 else ():
        more = replace(found, items=found.items / factor)
        code = int(question.answer(more, assumed=answer.assumed).codes(alpha))
        if code != _UNDECIDED:
            text = items_text(float(factor))
            return [Option(what="examples", amount=float(factor), verdict=VERDICTS[code], runs=0, text=text)]
    return []


def _size_options(
    found: Evidence,
    question: ScaleQuestion,
    answer: ScaleAnswer,
    *,
    alpha: float,
    runs_per_seed: int,
    candidates: Sequence[Rung],
) -> list[Option]:
    options = []
    for rung in candidates:
        if rung.family not in answer.lines:
            continue
        try:
            more = with_backbone(found, rung, lift=answer.lines[rung.family].level_at(rung.size).value)
        except UserError:
            continue  # too far beyond the ladder for its lift to be foreseen
        code = int(question.answer(more, assumed=answer.assumed).codes(alpha))
        if code != _UNDECIDED:
            runs = int(more.num_seeds[-1]) * runs_per_seed
            text = size_text(rung, int(more.num_seeds[-1]), runs)
            options.append(Option(what="size", amount=rung.size, verdict=VERDICTS[code], runs=runs, text=text))
    return options


def with_backbone(found: Evidence, rung: Rung, *, lift: np.ndarray | float) -> Evidence:
    """The evidence with one more backbone, as uncertain as its family's others are on average."""
    at = found.places(rung.family)
    cross = found.items[..., at, :].mean(axis=-2)  # [..., K]: covariance with each of the others
    own = np.einsum("...kk->...k", found.items)[..., at].mean(axis=-1)
    pairs = [(one, other) for one in at for other in at if one != other]
    between = np.mean([found.items[..., one, other] for one, other in pairs], axis=0)
    cross[..., at] = between[..., None]
    items = np.concatenate([found.items, cross[..., None, :]], axis=-2)
    items = np.concatenate([items, np.concatenate([cross, own[..., None]], axis=-1)[..., :, None]], axis=-1)

    def extended(values: np.ndarray, new: np.ndarray | float) -> np.ndarray:
        return np.concatenate([values, np.broadcast_to(np.asarray(new), values.shape[:-1])[..., None]], axis=-1)

    seeds = math.ceil(float(np.median(found.num_seeds[..., at])))
    df = found.seed_df.copy()
    df[..., at] += seeds - 1
    return Evidence(
        ladder=(*found.ladder, rung),
        lifts=extended(found.lifts, lift),
        items=items,
        num_seeds=extended(found.num_seeds, seeds),
        seed_variance=extended(found.seed_variance, found.seed_variance[..., at[0]]),
        seed_df=extended(df, df[..., at[0]]),
    )
