"""Scores and lifts against size, a panel for each target, on a logarithmic axis of non-embedding parameters.

    figures = study_figures(read_study(Path("runs/scaling/study.json")), prefix="scaling")

Published numbers stand beside scores, with the method by which they were made, and never beside lifts.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from harness.report.board.number_format import NONE
from harness.report.figures.scaling_axes import log_sizes, size_text
from harness.report.figures.study_numbers import (
    ENGLISH_LEFT_OUT,
    TARGET,
    DrawnGroup,
    DrawnLifts,
    DrawnLine,
    DrawnNumber,
    DrawnReference,
    StudyNumbers,
)
from harness.report.figures.style import (
    BASELINE,
    DARK,
    GREY,
    LIGHT,
    LOOKS,
    ONE_COLUMN,
    TWO_COLUMNS,
    DotLook,
    Drawn,
    drawable,
    new_figure,
    plain_name,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ACROSS, MOST_PANELS = 3, 9
SCALES = {"points": "lift in points", "headroom": "lift, % of the headroom", "logit": "lift in log odds"}
SCORES = (
    "Scores against non-embedding parameters: means over languages with 95 % intervals over test examples and training seeds; "
    "a hollow marker has no interval (one seed)."
)
LIFTS = (
    "Lifts against non-embedding parameters with 95 % intervals over test examples and training seeds, and the line of each "
    "family with three sizes or more between its smallest and largest backbone; grey: lifts too small to matter, by the study's "
    "margin."
)

BESIDE = 2.0
"Points that the axis of scores has beyond 0 and 100, so that a mark there is whole."


def study_figures(study: StudyNumbers, *, prefix: str) -> Iterator[Drawn]:
    """Score curves and lifts by size, of each family; of many targets several of each."""
    families = list(dict.fromkeys(one.family for one in study.backbones if one.bridges is None))
    names: dict[str, str] = {}
    for family in families:
        names[family] = plain_name(family, names.values()) if len(families) > 1 else ""
        ladder = _Ladder(study, family)
        about = f" Family: {family}." if len(families) > 1 else ""
        own = f"-{names[family]}" if names[family] else ""
        for number, targets in _numbered([one.target for one in study.targets if ladder.has_scores(one.target)]):
            figure, key = _scores(ladder, targets)
            yield Drawn(f"{prefix}-scores{own}{number}", figure, SCORES + about + key)
        groups = ladder.groups()
        for number, titles in _numbered(list(groups)):
            figure = _lifts(ladder, {title: groups[title] for title in titles})
            yield Drawn(f"{prefix}-lifts{own}{number}", figure, LIFTS + about)


class _Ladder:
    """The backbones of one family, and what a study says of them; backbones that are trained by two methods are in no line."""

    def __init__(self, study: StudyNumbers, family: str) -> None:
        self.study, self.family = study, family
        self.sizes = {one.backbone: one.size for one in study.backbones if one.bridges is None and one.family == family}
        self.looks = _looks(study)

    def scores(self, setting: str, target: str) -> dict[float, DrawnNumber]:
        """Size -> mean over all languages, in the order of the sizes."""
        own = [one for one in self.study.scores if (one.setting, one.target) == (setting, target) and one.means.all]
        found = {self.sizes[one.backbone]: one.means.all for one in own if one.backbone in self.sizes}
        return {size: number for size, number in sorted(found.items()) if number is not None}

    def has_scores(self, target: str) -> bool:
        """Whether there is a point to draw."""
        return any(self.scores(setting, target) for setting in self.study.settings)

    def lifts(self, group: DrawnGroup) -> dict[float, DrawnNumber]:
        """Size -> lift on the scale of the study."""
        lifts = self._on_scale(group)
        found = {self.sizes[one.backbone]: one.lift for one in lifts.backbones if one.backbone in self.sizes} if lifts else {}
        return dict(sorted(found.items()))

    def line(self, group: DrawnGroup) -> DrawnLine | None:
        """The line of the family."""
        lifts = self._on_scale(group)
        return next((one.line for one in lifts.families if one.family == self.family), None) if lifts else None

    def _on_scale(self, group: DrawnGroup) -> DrawnLifts | None:
        found: DrawnLifts | None = getattr(group.scales, self.study.fixed.scale)
        return found

    def groups(self) -> dict[str, list[DrawnGroup]]:
        """Title of a panel -> the lifts of each setting: all targets together where there are several, then each."""
        targets = [one.target for one in self.study.targets]
        titles = {(ENGLISH_LEFT_OUT, ""): "all targets, without English"} if len(targets) > 1 else {}
        titles |= {(TARGET, target): target for target in targets}
        found: dict[str, list[DrawnGroup]] = {}
        for (kind, name), title in titles.items():
            own = [one for one in self.study.lifts if one.kind == kind and (kind != TARGET or one.group == name)]
            own = [one for one in own if one.setting in self.study.settings and self.lifts(one)]
            if own:
                found[title] = own
        return found


def _looks(study: StudyNumbers) -> dict[str, DotLook]:
    """The look of each setting; beyond six, looks come again with another marker."""
    others = sorted(name for name in study.settings if name != NONE)  # as on the board
    found = {
        name: LOOKS[n % len(LOOKS)]._replace(marker=LOOKS[(n + n // len(LOOKS)) % len(LOOKS)].marker)
        for n, name in enumerate(others)
    }
    return {NONE: BASELINE, **found}


def _numbered(items: Sequence[str]) -> list[tuple[str, Sequence[str]]]:
    parts = [items[start : start + MOST_PANELS] for start in range(0, len(items), MOST_PANELS)]
    return [(f"-{number}" if len(parts) > 1 else "", part) for number, part in enumerate(parts, start=1)]


def _panels(count: int, *, below: float) -> tuple[Figure, list[Axes]]:
    """A figure with so many panels; `below` are inches for a key."""
    across = min(ACROSS, count)
    down = -(-count // across)
    width = TWO_COLUMNS if across > 1 else ONE_COLUMN
    figure = new_figure(width, down * 1.75 + 0.55 + below)
    axes = list(figure.subplots(down, across, squeeze=False, sharex=True).flat)
    for unused in axes[count:]:
        unused.set_visible(False)
    for place, used in enumerate(axes[:count]):
        used.tick_params(labelbottom=place + across >= count)
    return figure, axes[:count]


def _scores(ladder: _Ladder, targets: Sequence[str]) -> tuple[Figure, str]:
    """The figure, and the key of the published numbers in it."""
    study = ladder.study
    published = {one: str(n) for n, one in enumerate((one for one in study.references if one.task in targets), start=1)}
    notes = [_note(number, one) for one, number in published.items()]
    figure, panels = _panels(len(targets), below=0.11 * len(notes))
    for axes, target in zip(panels, targets):
        for setting in study.settings:
            shift, look = _shift(setting, study.settings), ladder.looks[setting]
            points = {size * shift: number for size, number in ladder.scores(setting, target).items()}
            axes.plot(list(points), [one.value for one in points.values()], color=look.colour, linewidth=0.9, zorder=2)
            _points(axes, points, look)
        _published(axes, {one: n for one, n in published.items() if one.task == target})
        axes.set_title(drawable(target, most=32))
    sizes = [one.size for one in published if one.size is not None]
    _finish(figure, panels, ladder, label="score", settings=study.settings, also=sizes)
    for axes in panels:  # an interval of two seeds may reach far beyond what a score can be
        low, high = axes.get_ylim()
        axes.set_ylim(max(low, -BESIDE), min(high, 100 + BESIDE))
    if notes:
        figure.supxlabel("\n".join(notes), x=0.01, ha="left", fontsize=5.8, color=DARK)
    return figure, (" Published: " + "; ".join(notes) + ".") if notes else ""


def _note(number: str, one: DrawnReference) -> str:
    size = "" if one.size is None else f", {size_text(one.size)}"
    return drawable(f"{number}  {one.model}{size}; {one.method}; {one.split} rows, {one.key} {one.value:.1f}", most=110)


def _shift(setting: str, settings: Sequence[str]) -> float:
    """A factor of sizes that puts the settings beside each other: they all have the same sizes."""
    return float(10 ** (0.035 * (settings.index(setting) - (len(settings) - 1) / 2)))


def _points(axes: Axes, points: Mapping[float, DrawnNumber], look: DotLook) -> None:
    for size, one in points.items():
        sure = one.low is not None and one.high is not None
        if sure:
            axes.vlines(size, one.low, one.high, color=look.colour, linewidth=0.8, zorder=2)  # type: ignore[arg-type]
        face = look.colour if sure else "white"
        axes.plot(size, one.value, marker=look.marker, color=look.colour, markerfacecolor=face, markersize=3.6, zorder=3)


def _published(axes: Axes, entries: Mapping[DrawnReference, str]) -> None:
    """A cross at the size, or a line across where that is not recorded, with its number."""
    for one, number in entries.items():
        if one.size is None:
            axes.axhline(one.value, color=GREY, linewidth=0.6, linestyle=":", zorder=1)
            axes.annotate(
                number, (1, one.value), xycoords=("axes fraction", "data"), fontsize=5.8, color=DARK, va="bottom", ha="right"
            )
        else:
            axes.plot(one.size, one.value, marker="x", color=GREY, markersize=4, linestyle="", zorder=3)
            axes.annotate(number, (one.size, one.value), xytext=(3, 2), textcoords="offset points", fontsize=5.8, color=DARK)


def _lifts(ladder: _Ladder, groups: Mapping[str, Sequence[DrawnGroup]]) -> Figure:
    study = ladder.study
    figure, panels = _panels(len(groups), below=0)
    settings = [name for name in study.settings if any(group.setting == name for own in groups.values() for group in own)]
    for axes, (title, own) in zip(panels, groups.items()):
        axes.axhspan(-study.fixed.margin, study.fixed.margin, color=LIGHT, alpha=0.6, linewidth=0, zorder=0)
        axes.axhline(0, color=DARK, linewidth=0.6, zorder=1)
        for group in own:
            shift, look = _shift(group.setting, settings), ladder.looks[group.setting]
            _points(axes, {size * shift: lift for size, lift in ladder.lifts(group).items()}, look)
            if line := ladder.line(group):
                _line(axes, line, study, colour=look.colour)
        axes.set_title(drawable(title, most=32))
    _finish(figure, panels, ladder, label=SCALES[study.fixed.scale], settings=settings)
    return figure


def _line(axes: Axes, line: DrawnLine, study: StudyNumbers, *, colour: str) -> None:
    """The line between the ends of the ladder, through its level at a size that the study fixed."""
    places = ((study.fixed.reference, line.reference), (study.fixed.target, line.target))
    through = next(((at, level.value) for at, level in places if at and level), None)
    if through and line.slope:
        slope, (at, level) = line.slope.value, through
        ends = [line.smallest, line.largest]
        axes.plot(
            ends,
            [level + slope * (math.log10(size) - math.log10(at)) for size in ends],
            color=colour,
            linewidth=1.0,
            alpha=0.75,
            zorder=1.5,
        )


def _finish(
    figure: Figure,
    panels: Sequence[Axes],
    ladder: _Ladder,
    *,
    label: str,
    settings: Sequence[str],
    also: Sequence[float] = (),
) -> None:
    """Axes, as wide as the ladder and the sizes `also` ask for, and the legend."""
    from matplotlib.lines import Line2D

    across = min(ACROSS, len(panels))
    log_sizes(panels, [*ladder.sizes.values(), *also])
    for place, axes in enumerate(panels):
        if place % across == 0:
            axes.set_ylabel(label)
        if place + across >= len(panels):
            axes.set_xlabel("non-embedding parameters")
        axes.margins(y=0.12)
        axes.locator_params(axis="y", nbins=5)
    looks = ladder.looks
    handles = [
        Line2D([], [], color=looks[name].colour, marker=looks[name].marker, markersize=3.6, linewidth=0.9, label=drawable(name))
        for name in settings
    ]
    figure.legend(handles=handles, loc="outside upper left", ncols=4 if across > 1 else 2, frameon=False)
