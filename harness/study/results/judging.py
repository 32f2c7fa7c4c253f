"""From the evidence of a hypothesis to its claim and the numbers that it rests on.

    judged = judge(hypothesis, spec.verdicts, {part.name: evidence_of(part, tables) for part in parts})
    judged.claim.decide(0.05).verdict, judged.estimates["change"]
    advice_for(hypothesis, spec.verdicts, found, alpha=0.01, runs_per_seed=4, available=1.0, candidates=[])

The same question is put to all families, to each alone, to other scales and without doubtful seeds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.api.errors import UserError
from harness.specs.study import Hypothesis, Verdicts
from harness.study.statistics.advice import Option, advise, second_seed
from harness.study.statistics.evidence import Evidence, Rung, seed_noise
from harness.study.statistics.hypotheses import (
    Claim,
    JointClaim,
    NoBetterClaim,
    NoEffectClaim,
    PartClaim,
    RankingClaim,
    SignClaim,
)
from harness.study.statistics.level_advice import advise_levels
from harness.study.statistics.level_questions import LevelQuestion
from harness.study.statistics.pooling import Pooled
from harness.study.statistics.questions import ScaleQuestion
from harness.study.statistics.student import StudentEstimate


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """A hypothesis with its estimates."""

    claim: Claim
    estimates: Mapping[str, StudentEstimate]
    "reference, target and change of a question of scale; else by the names of the parts."
    pooled: Mapping[str, Pooled]
    "Families at large, by the same names, where several families answer."
    left_out: Mapping[str, str]
    "Family -> why it does not answer."


def judge(hypothesis: Hypothesis, verdicts: Verdicts, found: Mapping[str, Evidence], *, alone: bool = False) -> Judged:
    """The claim of a hypothesis; raises UserError where the evidence gives no estimate.  alone: one family for itself."""
    if hypothesis.asks == "scale":
        (own,) = found.values()
        answer = _scale_question(verdicts, alone=alone).answer(own)
        estimates = {"reference": answer.reference, "target": answer.target, "change": answer.change}
        return Judged(claim=answer.claim, estimates=estimates, pooled=answer.pooled, left_out=answer.left_out)
    question = _level_question(hypothesis, verdicts, alone=alone)
    answers = {name: question.answer(one) for name, one in found.items()}
    left_out: dict[str, str] = {}
    for one in answers.values():
        left_out |= one.left_out
    return Judged(
        claim=_claim(hypothesis, verdicts.margin, list(found), [one.estimate for one in answers.values()]),
        estimates={name: one.estimate for name, one in answers.items()},
        pooled={name: one.pooled for name, one in answers.items() if one.pooled is not None},
        left_out=left_out,
    )


def _scale_question(verdicts: Verdicts, *, alone: bool = False) -> ScaleQuestion:
    if verdicts.reference is None or verdicts.target is None:
        raise UserError("the study's file gives no reference and target size", todo="give both under `verdicts`")
    families = "these" if alone else verdicts.families
    return ScaleQuestion(reference=verdicts.reference, target=verdicts.target, margin=verdicts.margin, families=families)


def _level_question(hypothesis: Hypothesis, verdicts: Verdicts, *, alone: bool = False) -> LevelQuestion:
    size = {"mean": None, "reference": verdicts.reference, "target": verdicts.target}[hypothesis.at]
    if hypothesis.at != "mean" and size is None:
        raise UserError(f"the study's file gives no {hypothesis.at} size", todo="give it under `verdicts`")
    return LevelQuestion(size=size, families="these" if alone else verdicts.families)


_PARTS: dict[str, type[SignClaim] | type[NoEffectClaim] | type[NoBetterClaim]] = {
    "helps": SignClaim,
    "better": SignClaim,
    "no_effect": NoEffectClaim,
    "no_better": NoBetterClaim,
}


def _claim(hypothesis: Hypothesis, margin: float, names: Sequence[str], estimates: Sequence[StudentEstimate]) -> Claim:
    """The claim that the estimates of its parts make."""
    if hypothesis.asks == "ranking":
        return RankingClaim(steps=tuple(estimates), margin=margin)
    parts: dict[str, PartClaim] = {
        name: _PARTS[hypothesis.asks](estimate=one, margin=margin) for name, one in zip(names, estimates, strict=True)
    }
    return next(iter(parts.values())) if len(parts) == 1 else JointClaim(parts=parts)


def advice_for(
    hypothesis: Hypothesis,
    verdicts: Verdicts,
    found: Mapping[str, Evidence],
    *,
    alpha: float,
    runs_per_seed: int,
    available: float,
    candidates: Sequence[Rung],
) -> list[Option]:
    """What would decide a hypothesis at a level, cheapest first; nothing where its question cannot be answered."""
    evidences = list(found.values())
    try:
        if any(seed_noise(one) is None for one in evidences):
            return [second_seed(evidences[0], runs_per_seed=runs_per_seed)]
        known = {rung.backbone for rung in evidences[0].ladder}
        new = [rung for rung in candidates if rung.backbone not in known]
        if hypothesis.asks == "scale":
            question = _scale_question(verdicts)
            return advise(
                evidences[0],
                question,
                alpha=alpha,
                runs_per_seed=runs_per_seed,
                available_items=available,
                candidates=new,
            )
        return advise_levels(
            evidences,
            _level_question(hypothesis, verdicts),
            lambda estimates: _claim(hypothesis, verdicts.margin, list(found), estimates),
            alpha=alpha,
            runs_per_seed=runs_per_seed,
            available_items=available,
            candidates=new,
        )
    except UserError:
        return []  # the hypothesis says itself why it has no answer
