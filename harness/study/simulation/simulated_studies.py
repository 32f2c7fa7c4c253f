"""A simulator of whole studies: families of backbones, languages, test items, seeds, under a given curve of lift against size.

    world = StudyWorld(families=(FamilyOfBackbones("a", (1e8, 1e9, 1e10)),), curve=linear(3.0, slope=-1.0, at=1e9))
    study = draw_studies(world, 100, rng=generator("coverage", seed=0), num_draws=400)
    study.lifts, study.truth                     # GroupLifts with 100 studies in front, and what they estimate

An item is answered rightly if a normal variable is positive: the score that an arm, backbone, language and seed has on an endless
test set, plus the item's difficulty (in all languages alike, and in each), plus what the intermediate phase does for that item on
every backbone and on each, plus chance.  Scores of seeds, and of backbones around the curve, are normal in points.
The draws of test items are those of the bootstrap: the same counts for all arms, backbones and seeds.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np

from harness.scoring.bootstrap import draw_counts
from harness.study.statistics.distributions import normal_quantile
from harness.study.statistics.effects import GroupLifts, LadderScores, group_lifts
from harness.study.statistics.evidence import Rung
from harness.study.statistics.outcome_groups import OutcomeGroup, StudyCell, equal_weights
from harness.study.statistics.scales import Scale, on_scale

Curve: TypeAlias = Callable[[np.ndarray], np.ndarray]
"Sizes -> lift in points."
ARMS = ("none", "intermediate")
_AT_ONCE = 25  # studies: bounds the memory


def constant(lift: float) -> Curve:
    """The same lift at every size."""
    return lambda sizes: np.full(np.shape(sizes), lift)


def linear(lift: float, *, slope: float, at: float) -> Curve:
    """A lift that changes by `slope` points a decade."""
    return lambda sizes: lift + slope * (np.log10(sizes) - math.log10(at))


def saturating(top: float, *, half: float, steepness: float) -> Curve:
    """A lift that falls from `top` towards 0, half of it gone at the size `half`; steepness in logits a decade."""
    return lambda sizes: top / (1 + np.exp(steepness * (np.log10(sizes) - math.log10(half))))


class FamilyOfBackbones(NamedTuple):
    """A ladder to be drawn."""

    name: str
    sizes: tuple[float, ...]
    shift: float = 0.0
    "Points by which this family lies off the curve at all sizes."
    curve: Curve | None = None
    "A curve of its own."


class ItemSet(NamedTuple):
    """A set of test items, answered in one or several languages."""

    num_items: int
    num_languages: int = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyWorld:
    """The truth that studies are drawn from; standard deviations in points of score."""

    families: tuple[FamilyOfBackbones, ...]
    curve: Curve
    test_sets: tuple[ItemSet, ...] = (ItemSet(1000, 3),)
    num_seeds: int = 3
    family_sd: float = 0.0
    "Of families around the curve, the same at all sizes."
    baseline: float = 60.0
    "Score of the baseline at 1e9 parameters."
    growth: float = 5.0
    "By which it grows a decade."
    backbone_sd: float = 0.3
    "Of backbones around the curve."
    seed_sd: float = 0.5
    "Of the lift between seeds."
    item_sd: float = 1.0
    "Of difficulty, alike in all languages; in units of the chance part."
    language_sd: float = 0.7
    "Of difficulty, of each language."
    effect_sd: float = 0.4
    "Of what the intermediate phase does for an item on every backbone."
    own_effect_sd: float = 0.4
    "Of what it does on each backbone."
    scale: Scale = "points"

    @property
    def ladder(self) -> tuple[Rung, ...]:
        """All backbones."""
        return tuple(
            Rung(f"{family.name}-{number}", family=family.name, size=size)
            for family in self.families
            for number, size in enumerate(family.sizes)
        )

    def expected_lifts(self) -> np.ndarray:
        """The lift of each backbone by its family's curve [K]."""
        return np.concatenate([(family.curve or self.curve)(np.array(family.sizes)) + family.shift for family in self.families])

    def lift_at(self, size: float) -> float:
        """The curve's lift at a size, on the world's scale."""
        sizes = np.array([size])
        baseline = self.baseline + self.growth * (np.log10(sizes) - 9)
        return float(on_scale(self.scale, baseline + self.curve(sizes), baseline)[0])

    def baselines(self) -> np.ndarray:
        """The baseline score of each backbone [K]."""
        return self.baseline + self.growth * (np.log10([rung.size for rung in self.ladder]) - 9)


@dataclass(frozen=True, kw_only=True, slots=True)
class DrawnStudies:
    """Many studies of one world."""

    world: StudyWorld
    lifts: GroupLifts
    "With an axis of studies in front."
    truth: np.ndarray
    "[N, K]: the lift of each backbone, all deviations included, on the world's scale."
    family_shifts: np.ndarray
    "[N, F]: the points that each family lies off the curve."


def draw_studies(world: StudyWorld, num_studies: int, *, rng: np.random.Generator, num_draws: int = 400) -> DrawnStudies:
    """Draw studies and put their lifts on the world's scale."""
    counts = [draw_counts(rng, samples=num_draws, n=test.num_items) for test in world.test_sets]
    parts = [
        _some_studies(world, min(_AT_ONCE, num_studies - start), rng=rng, counts=counts)
        for start in range(0, num_studies, _AT_ONCE)
    ]
    first = parts[0].lifts
    lifts = GroupLifts(
        name=first.name,
        scale=first.scale,
        backbones=first.backbones,
        seeds=np.concatenate([part.lifts.seeds for part in parts]),
        draws=np.concatenate([part.lifts.draws for part in parts]),
    )
    return DrawnStudies(
        world=world,
        lifts=lifts,
        truth=np.concatenate([part.truth for part in parts]),
        family_shifts=np.concatenate([part.family_shifts for part in parts]),
    )


def _some_studies(world: StudyWorld, num_studies: int, *, rng: np.random.Generator, counts: Sequence[np.ndarray]) -> DrawnStudies:
    num_backbones = len(world.ladder)
    shifts = world.family_sd * rng.standard_normal((num_studies, len(world.families)))
    deviations = world.backbone_sd * rng.standard_normal((num_studies, num_backbones))
    deviations += np.repeat(shifts, [len(family.sizes) for family in world.families], axis=1)
    lifts = world.expected_lifts() + deviations
    baselines = np.broadcast_to(world.baselines(), lifts.shape)
    expected = np.stack([baselines, baselines + lifts], axis=1)  # [N, A, K]
    # Half of the variance of a lift between seeds comes from each arm.
    shape = (num_studies, len(ARMS), num_backbones, world.num_seeds)
    of_seeds = expected[..., None] + world.seed_sd / math.sqrt(2) * rng.standard_normal(shape)
    cells: list[StudyCell] = []
    scores, draws = [], []
    for number, (test, drawn) in enumerate(zip(world.test_sets, counts, strict=True)):
        right = _answers(world, test, np.clip(of_seeds, 0.5, 99.5), rng=rng)  # [N, A, K, C, S, n]
        scores.append(100 * right.mean(axis=-1, dtype=np.float64))
        flat = right.reshape(-1, test.num_items).T
        totals = (drawn @ flat).astype(np.float64) * (100 / test.num_items)
        draws.append(np.moveaxis(totals.reshape(-1, *right.shape[:-1]), 0, 1))  # [N, D, A, K, C, S]
        cells += [StudyCell(f"target{number}", f"l{language}") for language in range(test.num_languages)]
    table = LadderScores(
        arms=ARMS,
        backbones=tuple(rung.backbone for rung in world.ladder),
        cells=tuple(cells),
        scores=np.concatenate(scores, axis=-2),
        draws=np.concatenate(draws, axis=-2),
    )
    group = OutcomeGroup(kind="zero_shot", name="all targets", weights=equal_weights(cells, lambda cell: True))
    found = group_lifts(table, group, treated=ARMS[1], baseline=ARMS[0], scale=world.scale)
    truth = on_scale(world.scale, expected[:, 1], expected[:, 0])
    return DrawnStudies(world=world, lifts=found, truth=truth, family_shifts=shifts + [family.shift for family in world.families])


def _answers(world: StudyWorld, test: ItemSet, scores: np.ndarray, *, rng: np.random.Generator) -> np.ndarray:
    """Right (1) and wrong answers [N, A, K, C, S, n], float32, of arms whose expected scores are [N, A, K, S]."""
    num_studies, _, num_backbones, _ = scores.shape

    def normal(*shape: int, sd: float) -> np.ndarray:
        return np.float32(sd) * rng.standard_normal((num_studies, *shape, test.num_items), dtype=np.float32)

    difficulty = normal(1, 1, 1, 1, sd=world.item_sd) + normal(1, 1, test.num_languages, 1, sd=world.language_sd)
    effect = normal(1, 1, 1, 1, sd=world.effect_sd) + normal(1, num_backbones, 1, 1, sd=world.own_effect_sd)
    plain = 1 + world.item_sd**2 + world.language_sd**2
    answers = []
    for arm in range(len(ARMS)):
        variance = plain + arm * (world.effect_sd**2 + world.own_effect_sd**2)
        level = normal_quantile(scores[:, arm : arm + 1, :, None, :, None] / 100) * math.sqrt(variance)
        chance = normal(1, num_backbones, test.num_languages, world.num_seeds, sd=1.0)
        answers.append(level.astype(np.float32) + difficulty + arm * effect + chance > 0)
    return np.concatenate(answers, axis=1).astype(np.float32)
