"""What the statistics make of a scenario: how often each interval covers the truth, and how often each verdict is given.

found = try_scenario(SCENARIOS[0], num_studies=1000, seed=0)
found.coverage["slope"], found.half_widths["slope"], found.verdicts["persists"], found.wrong
print_table = markdown([found])
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.api.randomness import generator
from harness.study.simulation.scenarios import Scenario
from harness.study.simulation.simulated_studies import DrawnStudies, draw_studies
from harness.study.statistics.advice import seeds_that_decide
from harness.study.statistics.distributions import Numbers
from harness.study.statistics.effects import without_seeds
from harness.study.statistics.evidence import Evidence, backbone_lifts, evidence
from harness.study.statistics.looks import LookLog
from harness.study.statistics.questions import ScaleAnswer
from harness.study.statistics.student import StudentEstimate
from harness.study.statistics.verdicts import VERDICTS

ALPHA = 0.05
_AT_ONCE = 100  # studies: bounds the memory
_UNDECIDED = VERDICTS.index("undecided")
COLUMNS = ("backbone", "line: slope", "line: level", "reference", "target", "change", "at large", "new family", "new backbone")


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """What came of the studies of a scenario."""

    scenario: Scenario
    num_studies: int
    coverage: dict[str, float]
    "Interval -> share of studies in which the interval of 95 % holds the truth; intervals that are not given are not here."
    half_widths: dict[str, float]
    "Their median half-widths."
    verdicts: dict[str, float]
    "Verdict -> share of studies."
    seeds: float
    "Seeds on each backbone at the end, on average."

    @property
    def right(self) -> float:
        """The share of true verdicts."""
        return sum(share for name, share in self.verdicts.items() if name in self.scenario.right)

    @property
    def wrong(self) -> float:
        """The share of false verdicts."""
        return sum(share for name, share in self.verdicts.items() if name not in (*self.scenario.right, "undecided"))


def try_scenario(scenario: Scenario, *, num_studies: int, seed: int, num_draws: int = 400) -> Trial:
    """Draw studies of a scenario and judge each as a study of real runs would be."""
    rng = generator("simulation", scenario.name, seed=seed)
    held: dict[str, list[np.ndarray]] = {}
    widths: dict[str, list[np.ndarray]] = {}
    codes: list[np.ndarray] = []
    seeds: list[np.ndarray] = []
    for start in range(0, num_studies, _AT_ONCE):
        drawn = draw_studies(scenario.world, min(_AT_ONCE, num_studies - start), rng=rng, num_draws=num_draws)
        found = evidence(drawn.lifts, ladder=scenario.world.ladder)
        answer = scenario.question.answer(found)
        for name, (estimate, truth) in _estimates(scenario, drawn, found, answer).items():
            low, high = estimate.ends(0.95)
            held.setdefault(name, []).append(((low <= truth) & (truth <= high)).ravel())
            widths.setdefault(name, []).append(np.ravel((high - low) / 2))
        if scenario.looks > 1:
            code, used = follow_advice(scenario, drawn)
        else:
            code, used = answer.codes(ALPHA), np.full(drawn.lifts.seeds.shape[0], scenario.world.num_seeds)
        codes.append(code)
        seeds.append(used)
    given = np.concatenate(codes)
    return Trial(
        scenario=scenario,
        num_studies=num_studies,
        coverage={name: float(np.concatenate(parts).mean()) for name, parts in held.items()},
        half_widths={name: float(np.median(np.concatenate(parts))) for name, parts in widths.items()},
        verdicts={name: float((given == code).mean()) for code, name in enumerate(VERDICTS)},
        seeds=float(np.concatenate(seeds).mean()),
    )


def _estimates(
    scenario: Scenario, drawn: DrawnStudies, found: Evidence, answer: ScaleAnswer
) -> dict[str, tuple[StudentEstimate, Numbers]]:
    """Each estimate with what is true of it."""
    estimates: dict[str, tuple[StudentEstimate, Numbers]] = {}
    own = backbone_lifts(found)
    if own is not None:
        estimates["backbone"] = own, drawn.truth
    world, question = scenario.world, scenario.question
    reference, target = world.lift_at(question.reference), world.lift_at(question.target)
    shift = drawn.family_shifts
    lines = list(answer.lines.values())
    if scenario.is_line:
        slope = (target - reference) / np.log10(question.target / question.reference)
        estimates["line: slope"] = _stacked([line.slope for line in lines]), slope
    estimates["line: level"] = _stacked([line.level_at(question.target) for line in lines]), target + shift
    mean = shift.mean(axis=1)
    estimates["reference"] = answer.reference, reference + mean
    estimates["target"] = answer.target, target + mean
    estimates["change"] = answer.change, target - reference
    fresh = generator("new", scenario.name, seed=0).standard_normal((2, len(shift)))
    if answer.pooled:
        large = 0 if scenario.world.family_sd else mean
        estimates["at large"] = answer.pooled["target"].mean, target + large
        estimates["new family"] = answer.pooled["target"].new_family, target + large + scenario.world.family_sd * fresh[0]
    elif scenario.is_line:
        new = lines[0].new_backbone(question.target)
        estimates["new backbone"] = new, target + mean + scenario.world.backbone_sd * fresh[1]
    return estimates


def _stacked(estimates: Sequence[StudentEstimate]) -> StudentEstimate:
    """Estimates of [N] each as one of [N, F]."""
    value, variance, df = (
        np.stack([np.asarray(getattr(one, name)) for one in estimates], axis=-1) for name in ("value", "variance", "df")
    )
    return StudentEstimate(value=value, variance=variance, df=df)


def follow_advice(scenario: Scenario, drawn: DrawnStudies) -> tuple[np.ndarray, np.ndarray]:
    """Places in VERDICTS and seeds used of studies that add the seeds advised and look again, as often as was planned.

    Where no number of seeds would decide at the next look, that which decides at a final look is added, which spends all that is
    left; where none would, all seeds that there are.  A study stops when its verdict is decided, or after its last look.
    """
    num_studies, _, most = drawn.lifts.seeds.shape
    codes = np.full(num_studies, _UNDECIDED)
    used = np.full(num_studies, scenario.first_seeds)
    going = np.ones(num_studies, dtype=bool)
    final = np.zeros(num_studies, dtype=bool)
    log = LookLog(scenario.looks)
    for number in range(1, scenario.looks + 1):
        dropped = np.broadcast_to(np.arange(most) >= used[:, None, None], drawn.lifts.seeds.shape)
        found = evidence(without_seeds(drawn.lifts, dropped), ladder=scenario.world.ladder)
        given = scenario.question.answer(found).codes(np.where(final, _alpha(log, number, final=True), _alpha(log, number)))
        codes = np.where(going, given, codes)
        going &= (given == _UNDECIDED) & ~final
        log = log.looked(f"look {number}", {})
        if number < scenario.looks:
            left = most - scenario.first_seeds
            next_, last = (
                seeds_that_decide(found, scenario.question, alpha=_alpha(log, number + 1, final=final), most=left)[0]
                for final in (False, True)
            )
            soon = (next_ > 0) & (used + next_ <= most)
            more = np.where(soon, next_, np.where(last > 0, last, most))
            used = np.where(going, np.minimum(used + more, most), used)
            final = ~soon
    return codes, used


def _alpha(log: LookLog, number: int, *, final: bool = False) -> float:
    level = log.level(ALPHA, fingerprint=f"look {number}", final=final)
    assert level.alpha is not None
    return level.alpha


def markdown(trials: Sequence[Trial]) -> str:
    """A table of coverage in percent and one of verdicts."""
    heads = ["scenario", *COLUMNS]
    rows = [[trial.scenario.name, *(_percent(trial.coverage.get(name)) for name in COLUMNS)] for trial in trials]
    verdict_heads = ["scenario", "true verdict", "right", "undecided", "wrong", "± change", "seeds", *VERDICTS[:-1]]
    verdict_rows = [
        [
            trial.scenario.name,
            " or ".join(name for name in VERDICTS if name in trial.scenario.right),
            *map(_percent, (trial.right, trial.verdicts["undecided"], trial.wrong)),
            f"{trial.half_widths['change']:.1f}" if "change" in trial.half_widths and trial.scenario.looks == 1 else "",
            f"{trial.seeds:.1f}",
            *(_percent(trial.verdicts[name]) for name in VERDICTS[:-1]),
        ]
        for trial in trials
    ]
    return f"{_table(heads, rows)}\n\n{_table(verdict_heads, verdict_rows)}"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f}"
