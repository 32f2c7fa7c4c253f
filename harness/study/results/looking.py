"""A look at a study: whether one is taken, at what level, and what each hypothesis comes to, those decided before included.

    looking = look_at(spec, log, {"MNLI persists": asked}, fingerprint=scores.fingerprint, why_not="")
    looking.found["MNLI persists"].verdict, looking.log

All hypotheses are tested together, those that cannot be answered among them, since they were all fixed beforehand.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

from harness.runtime.stages import canonical
from harness.specs.study import StudySpec
from harness.study.statistics.hypotheses import UNDECIDED, Claim, SettledClaim, UnanswerableClaim, settle
from harness.study.statistics.looks import LookLevel, LookLog

NOT_LOOKED = "not looked"


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundVerdict:
    """What a hypothesis comes to."""

    verdict: str
    "The one that stands: of an earlier look that decided it, else of this one."
    now: SettledClaim | None
    "What these data say; None where no look was taken."
    kept: tuple[int, str] | None
    "Number and verdict of the earlier look that decided it."


@dataclass(frozen=True, kw_only=True, slots=True)
class Looking:
    """A look with its level, or why none was taken."""

    level: LookLevel
    why_not: str
    "Why no look was taken; empty where one was."
    found: Mapping[str, FoundVerdict]
    "By the name of the hypothesis."
    log: LookLog
    "With this look, where one was taken."


def registered(spec: StudySpec) -> str:
    """A digest of what a study file fixes beforehand: verdicts, hypotheses, and the composites that they may name."""
    fixed = spec.model_dump(mode="json", include={"verdicts", "hypotheses", "chosen"}, exclude_defaults=True)
    return sha256(canonical(fixed).encode()).hexdigest()[:16]


def look_at(spec: StudySpec, log: LookLog, claims: Mapping[str, Claim], *, fingerprint: str, why_not: str) -> Looking:
    """Test all hypotheses together, unless something speaks against it or nothing is left to spend."""
    verdicts = spec.verdicts
    unanswered = all(isinstance(claim, UnanswerableClaim) for claim in claims.values())
    if unanswered:
        none = "no hypothesis can be answered" if claims else "there are no hypotheses"
        why_not = why_not or f"{none}, so that no look is spent"
    level = log.level(verdicts.alpha, fingerprint=fingerprint)
    why_not = why_not or level.said
    earlier = LookLog(log.planned, log.looks[: level.number - 1])
    kept = {name: earlier.kept(name) for name in claims}
    if why_not or level.alpha is None:
        # Data that were looked at before keep what was found; of new ones nothing is said.
        kept = {name: log.kept(name) for name in claims}
        verdict = UNDECIDED if level.alpha is None or unanswered else NOT_LOOKED
        found = {name: FoundVerdict(verdict=(kept[name] or (0, verdict))[1], now=None, kept=kept[name]) for name in claims}
        return Looking(level=level, why_not=why_not, found=found, log=log)
    settled = settle(claims, alpha=level.alpha, correction=verdicts.correction)
    found = {
        name: FoundVerdict(verdict=(kept[name] or (0, one.decision.verdict))[1], now=one, kept=kept[name])
        for name, one in settled.items()
    }
    looked = log.looked(fingerprint, {name: one.verdict for name, one in found.items()})
    return Looking(level=level, why_not="", found=found, log=looked)
