"""Uncertainty of scores: bootstrap over test examples, for one cell, for means over cells and for paired differences; p-values.

    interval(stats, metric.combine, seed=seed_of("xnli", "de", seed=0))["accuracy"]      # Interval(value, low, high)

    found = estimates([CellStatistics(name="mnli/de", stats=..., combine=..., items="xnli/de"), ...], seed=0)
    summarise(difference(mean_of([found["mnli/de"], found["mnli/sw"]]), mean_of([found["none/de"], found["none/sw"]])))

    holm([p_value(num_extreme(observed, null), len(null)) for observed, null in tests])    # adjusted for many tests

A cell is the additive statistics [n, K] of the examples of one (model, task, language).  Cells with the same `items` see the
same draws of examples: arms of a comparison (paired), languages of a parallel test set (clustered).  A BootstrapEstimate carries
a score with its bootstrap replicates, so that means and differences of scores are means and differences of replicates.  The
draws of a set of items depend on the seed and on `items` alone, never on which other cells are there or on their order.
Intervals speak of test examples; training seeds are a spread of their own, which the board gives beside them.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np

from harness.api.errors import UserError
from harness.api.randomness import generator
from harness.scoring.sums import ordered_mean, ordered_total

SAMPLES = 1000
LEVEL = 0.95
ROUNDING = 1e-9
"Scores closer than this (in points) are equal."
_BLOCK = 2_000_000  # entries of one array of weights (16 MB)
_DRAW_COST = 10  # one multinomial count costs about as much as drawing this many examples

Combine: TypeAlias = Callable[[np.ndarray], Mapping[str, np.ndarray]]
"Totals [..., K] -> {key: scores [...] in 0..100}."


class Interval(NamedTuple):
    """A number and the percentile bootstrap interval around it."""

    value: float
    low: float
    high: float


class BootstrapEstimate(NamedTuple):
    """A number and its bootstrap replicates [samples]."""

    value: float
    samples: np.ndarray


@dataclass(frozen=True, kw_only=True, slots=True)
class CellStatistics:
    """What is resampled: the examples of one (model, task, language)."""

    name: str
    "Unique among the cells of one call."
    stats: np.ndarray
    "float [n, K], one row an example, in the order in which the score adds them up."
    combine: Combine
    "Scores of totals."
    key: str = "score"
    "Which of the combined scores."
    items: str = ""
    "Name of the set of examples; empty = a set of its own."
    order: np.ndarray | None = None
    "int [n]: the rows so that those of cells with the same `items` are aligned; None = they are as they stand."


def interval(
    stats: np.ndarray, combine: Combine, *, seed: int, samples: int = SAMPLES, level: float = LEVEL
) -> dict[str, Interval]:
    """Percentile bootstrap over the examples of stats [n, K]; raises UserError if there are none."""
    stats = _checked(stats)
    totals = resample(stats, rng=generator("bootstrap", seed=seed), samples=samples)
    values = combined(combine, ordered_total(stats))
    replicates = combined(combine, totals)
    return {key: summarise(BootstrapEstimate(float(values[key]), replicates[key]), level=level) for key in values}


def estimates(cells: Sequence[CellStatistics], *, seed: int, samples: int = SAMPLES) -> dict[str, BootstrapEstimate]:
    """The BootstrapEstimate of each cell by name; cells with the same `items` see the same draws."""
    sets: dict[str, list[CellStatistics]] = {}
    for cell in cells:
        sets.setdefault(cell.items or f"\x1f{cell.name}", []).append(cell)
    found: dict[str, BootstrapEstimate] = {}
    for items, members in sets.items():
        tables = [_checked(cell.stats, cell.name) for cell in members]
        if len({len(table) for table in tables}) > 1:
            raise ValueError(
                f"cells of the items '{items}' differ in length: {[(c.name, len(t)) for c, t in zip(members, tables)]}"
            )
        rng = generator("bootstrap", items, seed=seed)
        aligned = [table if cell.order is None else table[cell.order] for cell, table in zip(members, tables)]
        totals = _weighted_totals(np.concatenate(aligned, axis=1), rng=rng, samples=samples)
        ends = np.cumsum([table.shape[1] for table in tables])[:-1]
        for cell, table, part in zip(members, tables, np.split(totals, ends, axis=1)):
            value = combined(cell.combine, ordered_total(table))[cell.key]
            found[cell.name] = BootstrapEstimate(float(value), combined(cell.combine, part)[cell.key])
    if len(found) < len(cells):
        raise ValueError("two cells have one name")
    return {cell.name: found[cell.name] for cell in cells}


def mean_of(parts: Sequence[BootstrapEstimate], *, weights: Sequence[float] | None = None) -> BootstrapEstimate:
    """The mean, unweighted unless weights (not all 0) are given; raises UserError if there is nothing to average."""
    if not parts:
        raise UserError("no scores to average", expected="at least one cell")
    each = [1.0] * len(parts) if weights is None else weights
    value = ordered_mean([part.value for part in parts], weights=each)
    samples = np.sum([part.samples * weight for part, weight in zip(parts, each, strict=True)], axis=0) / math.fsum(each)
    return BootstrapEstimate(value, samples)


def difference(treated: BootstrapEstimate, baseline: BootstrapEstimate) -> BootstrapEstimate:
    """Treated minus baseline, replicate by replicate."""
    return BootstrapEstimate(treated.value - baseline.value, treated.samples - baseline.samples)


def summarise(estimate: BootstrapEstimate, *, level: float = LEVEL) -> Interval:
    """The percentile interval of a BootstrapEstimate."""
    tail = (1 - level) / 2
    low, high = np.quantile(estimate.samples, [tail, 1 - tail])
    return Interval(estimate.value, float(low), float(high))


def resample(stats: np.ndarray, *, rng: np.random.Generator, samples: int = SAMPLES) -> np.ndarray:
    """Totals [samples, K] of n rows drawn with replacement from stats [n, K].

    Equal rows are interchangeable, so drawing how often each distinct row occurs is the same bootstrap, and much faster.
    """
    stats = _checked(stats)
    rows, counts = distinct_rows(stats)
    if len(rows) * _DRAW_COST > len(stats):
        return _weighted_totals(stats, rng=rng, samples=samples)
    totals = np.empty((samples, stats.shape[1]))
    for start, size in blocks(samples, len(rows)):
        weights = rng.multinomial(len(stats), counts / len(stats), size=size)
        totals[start : start + size] = exact_sums(weights, rows, num_drawn=len(stats))
    return totals


def distinct_rows(stats: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The different rows of stats [n, K], sorted by their numbers, and how often each is there: np.unique, but without sorting
    where they are whole numbers within narrow bounds, as most statistics are.
    """
    columns = np.ascontiguousarray(stats.T)
    low, high = columns.min(axis=1), columns.max(axis=1)
    sizes = high - low + 1
    if not np.prod(sizes) <= 4 * len(stats) or not (columns == np.rint(columns)).all():
        return np.unique(stats, axis=0, return_counts=True)
    shape = tuple(sizes.astype(np.int64).tolist())
    places = np.ravel_multi_index(tuple((columns - low[:, None]).astype(np.int64)), shape)
    counts = np.bincount(places, minlength=math.prod(shape))
    found = np.flatnonzero(counts)
    return np.stack(np.unravel_index(found, shape), axis=1) + low, counts[found]


def _checked(stats: np.ndarray, name: str = "") -> np.ndarray:
    """Stats as float64 [n, K]; raises UserError if there are no examples."""
    stats = np.asarray(stats, dtype=np.float64)
    if stats.ndim != 2:
        raise ValueError(f"{name or 'stats'}: expected [n, K], found the shape {list(stats.shape)}")
    if not len(stats):
        raise UserError("no examples to score", where=name, expected="at least one", todo="check the task's test data")
    return stats


def combined(combine: Combine, totals: np.ndarray) -> dict[str, np.ndarray]:
    """Apply `combine`; raises ValueError if a score is not a finite number (a metric must define its degenerate cases)."""
    scores = {key: np.asarray(value, dtype=np.float64) for key, value in combine(totals).items()}
    for key, value in scores.items():
        if value.shape != totals.shape[:-1] or not np.isfinite(value).all():
            bad = totals[~np.isfinite(value)] if value.shape == totals.shape[:-1] else totals
            raise ValueError(
                f"combine gives no finite score of the right shape for '{key}', e.g. of the totals {bad.ravel()[:8]}"
            )
    return scores


def blocks(samples: int, width: int) -> Iterator[tuple[int, int]]:
    """(start, size) of blocks of replicates whose weights stay small."""
    step = max(1, _BLOCK // width)
    for start in range(0, samples, step):
        yield start, min(step, samples - start)


def draw_counts(rng: np.random.Generator, *, samples: int, n: int) -> np.ndarray:
    """How often each of n examples is drawn when n are drawn with replacement: float32 [samples, n], whole numbers."""
    counts = np.empty((samples, n), dtype=np.float32)
    for start, size in blocks(samples, n):
        draws = rng.integers(n, size=(size, n)) + np.arange(size)[:, None] * n
        counts[start : start + size] = np.bincount(draws.ravel(), minlength=size * n).reshape(size, n)
    return counts


def _weighted_totals(stats: np.ndarray, *, rng: np.random.Generator, samples: int) -> np.ndarray:
    """Totals [samples, K] by drawing examples one by one: the draws depend on n alone."""
    n = len(stats)
    totals = np.empty((samples, stats.shape[1]))
    for start, size in blocks(samples, n):
        totals[start : start + size] = exact_sums(draw_counts(rng, samples=size, n=n), stats, num_drawn=n)
    return totals


def exact_sums(weights: np.ndarray, rows: np.ndarray, *, num_drawn: int) -> np.ndarray:
    """Weights [S, n], whole numbers of which no line adds up to more than `num_drawn`, times rows [n, K]: totals float64 [S, K].

    The bytes are the same for any number of threads: BLAS adds in any order, but here none of its sums needs rounding.
    """
    most = np.abs(rows).max(axis=0, initial=0) * num_drawn
    whole = (rows == np.rint(rows)).all(axis=0)
    totals = np.empty((len(weights), rows.shape[1]))
    # Single precision is twice as fast, and holds every whole number below 2^24.
    for chosen, kind in ((whole & (most < 2.0**24), np.float32), (whole & (most >= 2.0**24), np.float64)):
        if chosen.any():
            totals[:, chosen] = weights.astype(kind, copy=False) @ rows[:, chosen].astype(kind)
    if not whole.all():
        # Of fractions, the bits above a grid and those below it are added apart: either sum fits the 53 bits of a float64.
        grid = 2.0 ** np.floor(51 - np.log2(np.maximum(most[~whole], 2.0**-51)))
        above = np.rint(rows[:, ~whole] * grid) / grid
        finer = grid * 2.0 ** (52 - math.ceil(math.log2(num_drawn)))
        below = np.rint((rows[:, ~whole] - above) * finer) / finer
        factors = weights.astype(np.float64)
        totals[:, ~whole] = factors @ above + factors @ below
    return totals


def p_value(num_extreme: int, num_null: int) -> float:
    """The p-value of a number that `num_extreme` of `num_null` draws under the null hypothesis equal or exceed; never 0."""
    return (1 + num_extreme) / (1 + num_null)


def num_extreme(observed: np.ndarray, null: np.ndarray) -> np.ndarray:
    """How many of null [..., R] are as far from 0 as observed [...], on either side; what differs by rounding alone is equal."""
    return np.asarray((np.abs(null) >= np.abs(observed)[..., None] - ROUNDING).sum(axis=-1))


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values adjusted by Holm's step-down method: those at most alpha reject with a family-wise error of alpha.

    Adjusted p-values never fall where the raw ones rise, and equal ones stay equal.
    """
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda place: p_values[place])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = highest
    return adjusted
