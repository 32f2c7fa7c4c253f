"""The lines of the families, their mean and families at large, as entries of study.json: of many groups of cells at once.

    lines = LineEntries(found, spec.verdicts)       # evidence with one axis in front: a place for each group and scale
    lines.families(place), lines.mean(place), lines.pooled(place)

All groups whose backbones are the same are fitted together; what is slow is the number of fits, not of groups.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from harness.api.errors import UserError
from harness.api.protocols import Json
from harness.specs.study import Verdicts
from harness.study.results.estimate_entries import estimate_entry, rounded
from harness.study.statistics.evidence import Evidence
from harness.study.statistics.ladder import LadderFit, lines_at
from harness.study.statistics.level_questions import mean_of_backbones
from harness.study.statistics.pooling import Pooled, mean_of_families, pool
from harness.study.statistics.student import StudentEstimate

_NUMBERS = ("slope", "reference", "target", "change")


class LineEntries:
    """What the lines through these lifts say."""

    def __init__(self, found: Evidence, verdicts: Verdicts) -> None:
        self._found, self._verdicts = found, verdicts
        self._lines, self._without = lines_at(found, [])
        self._vectors: dict[str, dict[str, np.ndarray]] = {name: {} for name in _NUMBERS}
        self._beyond: dict[str, dict[str, str]] = {}
        for family, line in self._lines.items():
            self._place(family, line)
        self._estimates = {
            name: {family: self._lines[family].mixed.combination(vector) for family, vector in vectors.items()}
            for name, vectors in self._vectors.items()
        }
        self._new = {family: self._lines[family].mixed.new_unit(vector) for family, vector in self._vectors["target"].items()}
        self._means = {name: self._pool(vectors) for name, vectors in self._vectors.items() if vectors}
        try:
            self._mean: StudentEstimate | None = mean_of_backbones(found)
            self._no_mean = ""
        except UserError as error:
            self._mean, self._no_mean = None, error.message

    def _place(self, family: str, line: LadderFit) -> None:
        """The combinations of coefficients that are asked of a line, or why they cannot be."""
        self._vectors["slope"][family] = np.array([0.0, 1.0])
        found = {}
        for name, size in (("reference", self._verdicts.reference), ("target", self._verdicts.target)):
            if size is None:
                continue
            try:
                found[name] = self._vectors[name][family] = line.vector(size)
            except UserError as error:
                self._beyond.setdefault(family, {})[name] = error.message
        if len(found) == 2:
            self._vectors["change"][family] = found["target"] - found["reference"]

    def _pool(self, vectors: Mapping[str, np.ndarray]) -> tuple[StudentEstimate, Pooled | None]:
        lines = [self._lines[family] for family in vectors]
        own = list(vectors.values())
        return mean_of_families(self._found, lines, own), pool(self._found, lines, own) if len(lines) > 1 else None

    def mean(self, place: int) -> dict[str, Json] | None:
        """The mean over the backbones."""
        return None if self._mean is None else estimate_entry(self._mean, place=place)

    @property
    def why_no_mean(self) -> str:
        """Why the mean has no interval."""
        return self._no_mean

    def families(self, place: int) -> list[dict[str, Json]]:
        """Each family with a backbone that has a lift: its line, or why there is none."""
        return [
            {
                "family": family,
                "backbones": len(self._found.places(family)),
                "line": self._line(family, place) if family in self._lines else None,
                "why": self._without.get(family),
            }
            for family in self._found.families
        ]

    def _line(self, family: str, place: int) -> dict[str, Json]:
        line = self._lines[family]
        entry: dict[str, Json] = {"smallest": rounded(line.smallest), "largest": rounded(line.largest)}
        for name in _NUMBERS:
            estimate = self._estimates[name].get(family)
            entry[name] = None if estimate is None else estimate_entry(estimate, place=place)
        new = self._new.get(family)
        entry["new_backbone"] = None if new is None else estimate_entry(new, place=place)
        entry["tau"] = rounded(np.sqrt(line.mixed.tau2[place]))
        entry["beyond"] = list(self._beyond.get(family, {}).values())
        return entry

    def pooled(self, place: int) -> list[dict[str, Json]]:
        """Slope, levels and change over the families that have them: their mean, and families at large."""
        return [
            {
                "number": name,
                "families": list(self._vectors[name]),
                "mean": estimate_entry(these, place=place),
                "at_large": None if large is None else pooled_entry(large, place=place),
            }
            for name, (these, large) in self._means.items()
        ]


def pooled_entry(pooled: Pooled, *, place: int | None = None) -> dict[str, Json]:
    """Families at large with their heterogeneity, each family's own number drawn towards the others."""

    def number(values: np.ndarray) -> float | None:
        return rounded(values if place is None else values[place])

    front: Sequence[int] = () if place is None else (place,)
    return {
        "mean": estimate_entry(pooled.mean, place=place),
        "q": number(pooled.heterogeneity),
        "q_p_value": number(pooled.q_p_value),
        "i2": number(pooled.i2),
        "tau": number(np.sqrt(pooled.tau2)),
        "new_family": estimate_entry(pooled.new_family, place=place),
        "families": [
            {
                "family": family,
                "own": rounded(pooled.each[(*front, at)]),
                "drawn": estimate_entry(pooled.partial, place=(*front, at)),
            }
            for at, family in enumerate(pooled.families)
        ],
    }
