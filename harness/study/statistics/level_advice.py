"""What would decide an undecided hypothesis of a lift's level, and what it costs.

    question = LevelQuestion(size=None)
    options = advise_levels([found], question, claim_of, alpha=0.05, runs_per_seed=4, available_items=2.5)

As `advice` does it for questions of scale: each addition is tried on the evidence as it would be if all estimates stayed what
they are.  A claim may rest on several lifts (one a setting, one a step of a ranking): an addition is made to all of them.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np

from harness.api.errors import UserError
from harness.study.statistics.advice import MOST_SEEDS, Option, items_text, second_seed, seeds_text, size_text, with_backbone
from harness.study.statistics.evidence import Evidence, Rung, seed_noise, with_more_seeds
from harness.study.statistics.hypotheses import Claim, Decision
from harness.study.statistics.level_questions import LevelQuestion
from harness.study.statistics.student import StudentEstimate

ClaimOf: TypeAlias = Callable[[Sequence[StudentEstimate]], Claim]
"The estimates of the lifts that a claim rests on -> the claim."


def advise_levels(
    found: Sequence[Evidence],
    question: LevelQuestion,
    claim_of: ClaimOf,
    *,
    alpha: float,
    runs_per_seed: int,
    available_items: float = 1.0,
    candidates: Sequence[Rung] = (),
) -> list[Option]:
    """The options that would decide one study's hypothesis, cheapest first; none where nothing tried would.

    runs_per_seed: training runs of one seed of one backbone; candidates: backbones that could be added, of families with lines.
    """
    if any(seed_noise(one) is None for one in found):
        return [second_seed(found[0], runs_per_seed=runs_per_seed)]
    answers = [question.answer(one) for one in found]

    def decision(more: Sequence[Evidence]) -> Decision:
        kept = [question.answer(one, assumed=answer.assumed).estimate for one, answer in zip(more, answers, strict=True)]
        return claim_of(kept).decide(alpha)

    families = answers[0].lines or found[0].families
    used = sum(rung.family in families for rung in found[0].ladder)
    options = _seeds_option(found, decision, runs_per_seed=runs_per_seed, used=used)
    options += _items_option(found, decision, available=available_items)
    for rung in candidates:
        lines = [answer.lines.get(rung.family) for answer in answers]
        try:
            added = [
                with_backbone(one, rung, lift=line.level_at(rung.size).value)
                for one, line in zip(found, lines, strict=True)
                if line is not None
            ]
        except UserError:
            continue  # too far beyond the ladder for its lift to be foreseen
        told = decision(added) if len(added) == len(found) else None
        if told is not None and told.decided:
            seeds = int(added[0].num_seeds[-1])
            runs = seeds * runs_per_seed
            text = size_text(rung, seeds, runs)
            options.append(Option(what="size", amount=rung.size, verdict=told.verdict, runs=runs, text=text))
    return sorted(options, key=lambda option: option.runs)


def _seeds_option(
    found: Sequence[Evidence], decision: Callable[[Sequence[Evidence]], Decision], *, runs_per_seed: int, used: int
) -> list[Option]:
    for more in range(1, MOST_SEEDS + 1):
        told = decision([with_more_seeds(one, more) for one in found])
        if told.decided:
            runs = more * runs_per_seed * used
            return [Option(what="seeds", amount=more, verdict=told.verdict, runs=runs, text=seeds_text(more, used, runs))]
    return []


def _items_option(
    found: Sequence[Evidence], decision: Callable[[Sequence[Evidence]], Decision], *, available: float
) -> list[Option]:
    for factor in np.geomspace(1, available, 21)[1:] if available > 1 else ():
        told = decision([replace(one, items=one.items / factor) for one in found])
        if told.decided:
            text = items_text(float(factor))
            return [Option(what="examples", amount=float(factor), verdict=told.verdict, runs=0, text=text)]
    return []
