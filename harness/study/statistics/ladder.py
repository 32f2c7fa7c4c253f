"""Lift against log10 of size within a family: slope, level at a size, change between two sizes.

    line = fit_ladder(found, "xlmr")
    line.slope                                   # points a decade: StudentEstimate
    line.level_at(1e10), line.change(1e8, 1e10)
    line.new_backbone(1e10)                      # what another backbone of that size would have

Below three sizes there is no slope.  Nothing is said of sizes more than a decade beyond a ladder.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from harness.api.errors import UserError
from harness.study.statistics.evidence import Evidence, seed_noise
from harness.study.statistics.mixed_regression import Assumed, MixedFit, fit_mixed
from harness.study.statistics.student import StudentEstimate

MIN_SIZES = 3
BEYOND = 1.0
"Decades beyond the smallest and largest backbone up to which something is said."
_SAME = 1e-6  # decades


@dataclass(frozen=True, kw_only=True, slots=True)
class LadderFit:
    """The regression line of a family."""

    family: str
    smallest: float
    largest: float
    "Sizes of the ladder's ends."
    centre: float
    "The log10 of size at which the intercept stands."
    mixed: MixedFit

    @property
    def slope(self) -> StudentEstimate:
        """Lift per decade of size."""
        return self.mixed.combination([0.0, 1.0])

    def vector(self, size: float) -> np.ndarray:
        """The combination of coefficients that is the level at a size; raises UserError too far beyond the ladder."""
        place = math.log10(size)
        outside = max(math.log10(self.smallest) - place, place - math.log10(self.largest))
        if outside > BEYOND + _SAME:
            raise UserError(
                f"{self.family}: {size:.3g} parameters lie {outside:.1f} decades beyond its ladder",
                expected=f"at most {BEYOND:g} decade beyond {self.smallest:.3g} to {self.largest:.3g}",
                todo="choose another size, or add a backbone nearer to it",
            )
        return np.array([1.0, place - self.centre])

    def level_at(self, size: float) -> StudentEstimate:
        """The line at a size: the mean lift of backbones of that size."""
        return self.mixed.combination(self.vector(size))

    def change(self, reference: float, target: float) -> StudentEstimate:
        """The level at the target size minus that at the reference size."""
        return self.mixed.combination(self.vector(target) - self.vector(reference))

    def new_backbone(self, size: float) -> StudentEstimate:
        """What another backbone of that size would show: uncertain as the line, and scattered about it as backbones are."""
        return self.mixed.new_unit(self.vector(size))


def num_sizes(log_sizes: Sequence[float]) -> int:
    """How many different sizes there are."""
    ordered = sorted(log_sizes)
    return sum(1 for number, size in enumerate(ordered) if number == 0 or size - ordered[number - 1] > _SAME)


def has_slope(found: Evidence, family: str) -> bool:
    """Whether a family has enough sizes for a slope."""
    return num_sizes([math.log10(found.ladder[place].size) for place in found.places(family)]) >= MIN_SIZES


def fit_ladder(found: Evidence, family: str, *, assumed: Assumed | None = None) -> LadderFit:
    """The regression line of a family; raises UserError if it has fewer than three sizes."""
    own = found.only(found.places(family))
    sizes = [rung.size for rung in own.ladder]
    if not has_slope(found, family):
        num = num_sizes([math.log10(size) for size in sizes])
        raise UserError(
            f"{family}: no slope of {num} {'size' if num == 1 else 'sizes'}",
            expected=f"at least {MIN_SIZES} sizes with a lift",
            found=", ".join(rung.backbone for rung in own.ladder) or "none",
            todo="run more backbones of this family",
        )
    places = np.log10(sizes)
    centre = float(places.mean())
    design = np.stack([np.ones(len(sizes)), places - centre], axis=1)
    mixed = fit_mixed(own.lifts, design, shared=own.items, noise=seed_noise(own), assumed=assumed)
    return LadderFit(family=family, smallest=min(sizes), largest=max(sizes), centre=centre, mixed=mixed)


def lines_at(
    found: Evidence, sizes: Sequence[float], *, assumed: Mapping[str, Assumed] | None = None
) -> tuple[dict[str, LadderFit], dict[str, str]]:
    """The lines of the families that reach all these sizes, and why the others have none."""
    lines: dict[str, LadderFit] = {}
    left_out: dict[str, str] = {}
    for family in found.families:
        try:
            line = fit_ladder(found, family, assumed=(assumed or {}).get(family))
            for size in sizes:
                line.vector(size)
            lines[family] = line
        except UserError as error:
            left_out[family] = error.message
    return lines, left_out
