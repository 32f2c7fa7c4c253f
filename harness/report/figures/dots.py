"""Dots with intervals, a panel for each task: scores of the models, and their lifts as a forest plot.

    figures = score_figures(board)            # [Drawn(name='scores', figure=..., caption=...)]; lift_figures likewise

In a panel a row is a model, the dots in it are its intermediate settings.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from harness.api.protocols import Json
from harness.report.board.number_format import NONE, NOTHING, size
from harness.report.board.table_rows import Lines, arm_key
from harness.report.figures.style import (
    BASELINE,
    DARK,
    GREY,
    LIGHT,
    LOOKS,
    ONE_COLUMN,
    PAGE,
    TWO_COLUMNS,
    DotLook,
    Drawn,
    drawable,
    new_figure,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ACROSS = 3
"Panels side by side."
MOST_ROWS = 24
"Models in one figure."
_DOT = 0.11  # inches that a dot takes in height
_ROW_GAP = 0.07
_FIXED = 0.55  # of a panel's title, axis and label


class _Kind(NamedTuple):
    """What is drawn of an entry."""

    key: str
    "score or lift."
    name: str
    label: str
    caption: str


SCORES = _Kind("score", "scores", "score", "Scores: means over languages, 0 to 100.")
LIFTS = _Kind(
    "lift",
    "lifts",
    "lift in points",
    "Lifts: the score with the intermediate task minus the score without it, same backbone, target, languages, recipe and seeds; "
    "the interval is paired over test examples.",
)


def score_figures(board: Mapping[str, Json]) -> list[Drawn]:
    """Scores by task; a dashed line is the score of guessing."""
    lines = Lines(board)
    return list(_figures(lines, lines.arms, SCORES))


def lift_figures(board: Mapping[str, Json]) -> list[Drawn]:
    """Lifts by task; none on a board without a lift."""
    lines = Lines(board)
    return list(_figures(lines, lines.lifted, LIFTS))


def _figures(lines: Lines, arms: Sequence[Mapping[str, Json]], kind: _Kind) -> Iterator[Drawn]:
    """As many figures as the settings and models ask for."""
    arms = [arm for arm in arms if any(_number(lines, arm, task, kind) for task in lines.board["task_order"])]
    labels = list(dict.fromkeys(lines.label(arm) for arm in arms))
    baseline = [label for label in labels if kind is SCORES and label == NONE]
    settings = [label for label in labels if label not in baseline]
    rounds = [[*baseline, *some] for some in _batches(settings, len(LOOKS))] or [baseline] if labels else []
    models = list(dict.fromkeys(arm["model"] for arm in arms))
    tasks = lines.board["task_order"]
    found: list[tuple[list[Mapping[str, Json]], list[str], list[str]]] = []
    for some in rounds:
        for own in _batches(models, MOST_ROWS):
            shown = [arm for arm in arms if arm["model"] in own and lines.label(arm) in some]
            of = [task for task in tasks if any(_number(lines, arm, task, kind) for arm in shown)]
            most = ACROSS * max(1, int(PAGE / _height(shown))) if shown else 1
            found += [(shown, part, some) for part in _batches(of, most)]
    for number, (shown, part, some) in enumerate(found, start=1):
        level = round(lines.board["bootstrap"]["level"] * 100)
        caption = f"{kind.caption} Whiskers are {level} % intervals over test examples."
        caption += " Dashed: the score of guessing." if kind is SCORES else ""
        name = kind.name if len(found) == 1 else f"{kind.name}-{number}"
        yield Drawn(name, _draw(lines, shown, part, some, kind=kind), caption)


def _height(arms: Sequence[Mapping[str, Json]]) -> float:
    """Inches of a panel: its models below each other, each with a dot for each setting."""
    dots = Counter(arm["model"] for arm in arms)
    return len(dots) * (max(dots.values()) * _DOT + _ROW_GAP) + _FIXED


def _batches(items: Sequence[str], size: int) -> list[list[str]]:
    """Parts of about the same length."""
    num = -(-len(items) // size)
    rest = iter(items)
    return [list(islice(rest, len(items) // num + (number < len(items) % num))) for number in range(num)]


def _number(lines: Lines, arm: Mapping[str, Json], task: str, kind: _Kind) -> Mapping[str, float] | None:
    entry = lines.tasks.get((*arm_key(arm), task))
    found: Mapping[str, float] | None = entry[kind.key] if entry else None
    return found


def _draw(
    lines: Lines, arms: Sequence[Mapping[str, Json]], tasks: Sequence[str], labels: Sequence[str], *, kind: _Kind
) -> Figure:
    models = list(dict.fromkeys(arm["model"] for arm in arms))
    across = min(ACROSS, len(tasks))
    down = -(-len(tasks) // across)
    looks = _looks(labels)
    figure = new_figure(TWO_COLUMNS if across > 1 else ONE_COLUMN, down * _height(arms) + 0.3)
    panels = figure.subplots(down, across, squeeze=False, sharey=True)
    for place, axes in enumerate(panels.flat):
        if place >= len(tasks):
            axes.set_visible(False)
            continue
        _panel(axes, lines, arms, models, tasks[place], looks=looks, kind=kind)
        if place + across >= len(tasks):
            axes.set_xlabel(kind.label)
    used = [label for label in labels if any(lines.label(arm) == label for arm in arms)]
    if len(used) > 1 or kind is LIFTS:
        handles = [_handle(looks[label], drawable(label)) for label in used]
        figure.legend(handles=handles, loc="outside upper left", ncols=3 if across > 1 else 1, frameon=False, handletextpad=0.4)
    return figure


def _looks(labels: Sequence[str]) -> dict[str, DotLook]:
    """The look of each setting: `none` is black."""
    others = iter(LOOKS)
    return {label: BASELINE if label == NONE else next(others) for label in labels}


def _handle(look: DotLook, label: str) -> Any:
    from matplotlib.lines import Line2D

    return Line2D([], [], color=look.colour, marker=look.marker, markersize=3.5, linewidth=0.8, label=label)


def _panel(
    axes: Axes,
    lines: Lines,
    arms: Sequence[Mapping[str, Json]],
    models: Sequence[str],
    task: str,
    *,
    looks: Mapping[str, DotLook],
    kind: _Kind,
) -> None:
    """One task: a row for each model, the first on top."""
    names = []
    for row, model in enumerate(models):
        own = [arm for arm in arms if arm["model"] == model]
        facts = size(lines.board["models"].get(model))
        names.append(drawable(model, most=24) + ("" if facts == NOTHING else f"\n{facts.split(' ')[0]}"))
        for place, arm in enumerate(own):
            found = _number(lines, arm, task, kind)
            if found:
                look = looks[lines.label(arm)]
                at = row + (place - (len(own) - 1) / 2) * 0.8 / max(len(own), 2)
                axes.hlines(at, found["low"], found["high"], color=look.colour, linewidth=0.9, zorder=2)
                axes.plot(found["value"], at, color=look.colour, marker=look.marker, markersize=3.5, linestyle="", zorder=3)
        if row:
            axes.axhline(row - 0.5, color=LIGHT, linewidth=0.5, zorder=0)
    chance = lines.board["tasks"][task]["chance"]
    if kind is LIFTS:
        axes.axvline(0, color=DARK, linewidth=0.7, zorder=1)
    elif chance:
        axes.axvline(chance, color=GREY, linewidth=0.7, linestyle="--", zorder=1)
    axes.set_title(drawable(task, most=32))
    axes.set_yticks(range(len(models)), names)
    axes.set_ylim(len(models) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.margins(x=0.08)
    axes.locator_params(axis="x", nbins=5)
