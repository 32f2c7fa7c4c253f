"""Languages by tasks as heat maps: for each model the scores without an intermediate task, beside them the lifts of each setting.

figures = language_figures(board)          # a figure or more for each model

Languages stand by family, English first, so that what families have in common is seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from harness.api.protocols import Json
from harness.data.languages import language
from harness.report.board.number_format import NONE
from harness.report.board.table_rows import Lines, arm_key
from harness.report.figures.style import DARK, GREY, LIGHT, ONE_COLUMN, TWO_COLUMNS, Drawn, drawable, new_figure, plain_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = 18
"Columns (tasks of all panels) in one figure."
ROW, BAR = 0.125, 0.07
"Inches of a language, and of a bar of colours."
_NARROW = 0.17  # inches of a column in which a number has no room
SCORE_COLOURS, LIFT_COLOURS = "cividis", "PuOr"


def language_figures(board: Mapping[str, Json]) -> Iterator[Drawn]:
    """Heat maps of each model."""
    lines = Lines(board)
    names: set[str] = set()
    for model in lines.models:
        arms = [arm for arm in lines.arms if arm["model"] == model]
        tasks = [task for task in board["task_order"] if any(_languages(lines, arm, task) for arm in arms)]
        if not tasks:
            continue
        plain = plain_name(model, names)
        names.add(plain)
        panels = max(1, COLUMNS // len(tasks))
        parts = [arms[start : start + panels] for start in range(0, len(arms), panels)]
        for number, part in enumerate(parts, start=1):
            name = f"languages-{plain}" + (f"-{number}" if len(parts) > 1 else "")
            caption = (
                f"Languages by tasks, {model}: scores (0 to 100), and for settings with an intermediate task the lift in points. "
                "Languages stand by family, English first; grey: not asked for, or missing."
            )
            yield Drawn(name, _draw(lines, part, tasks), caption)


def _languages(lines: Lines, arm: Mapping[str, Json], task: str) -> Mapping[str, Json]:
    entry = lines.tasks.get((*arm_key(arm), task))
    return entry["languages"] if entry else {}


def _draw(lines: Lines, arms: Sequence[Mapping[str, Json]], tasks: Sequence[str]) -> Figure:
    known = {lang for arm in arms for task in tasks for lang in _languages(lines, arm, task)}
    langs = sorted(known, key=lambda lang: (lang != "en", language(lang).family, lang))
    width = ONE_COLUMN if len(arms) * len(tasks) <= 6 and len(arms) <= 2 else TWO_COLUMNS
    figure = new_figure(width, max(len(langs) * ROW, 0.6) + 1.25)
    panels = figure.subplots(1, len(arms), squeeze=False, sharey=True)[0]
    maps = [_map(lines, arm, tasks, langs) for arm in arms]
    most = max([1.0, *(float(np.nanmax(np.abs(one.values))) for one in maps if one.is_lift)])
    for place, (axes, one) in enumerate(zip(panels, maps)):
        _panel(axes, one, tasks, langs, most=most, inches=(width - 1.6) / len(arms))
        if place == 0:
            axes.set_yticks(range(len(langs)), [drawable(f"{language(lang).name} {lang}") for lang in langs])
        axes.tick_params(axis="y", length=0)
    _families(panels[-1], langs, columns=len(tasks))
    return figure


class _Map(NamedTuple):
    """What one panel shows."""

    title: str
    values: np.ndarray
    "[languages, tasks], NaN where there is nothing."
    is_lift: bool


def _map(lines: Lines, arm: Mapping[str, Json], tasks: Sequence[str], langs: Sequence[str]) -> _Map:
    """The lifts of a setting where it has some, else its scores."""
    is_lift = arm["intermediate"] != NONE and any(own["lift"] for task in tasks for own in _languages(lines, arm, task).values())
    key = "lift" if is_lift else "score"
    values = np.full((len(langs), len(tasks)), np.nan)
    for column, task in enumerate(tasks):
        own = _languages(lines, arm, task)
        for row, lang in enumerate(langs):
            if lang in own and own[lang][key]:
                values[row, column] = own[lang][key]["value"]
    return _Map(lines.label(arm), values, is_lift)


def _panel(axes: Axes, one: _Map, tasks: Sequence[str], langs: Sequence[str], *, most: float, inches: float) -> None:
    """One setting, in a panel so wide; all lifts of a figure have the same colours, up to `most`."""
    axes.set_facecolor(LIGHT)
    low, high, colours = (-most, most, LIFT_COLOURS) if one.is_lift else (0.0, 100.0, SCORE_COLOURS)
    shown = axes.imshow(one.values, aspect="auto", cmap=colours, vmin=low, vmax=high, interpolation="nearest")
    if inches / len(tasks) > _NARROW:
        _numbers(axes, one.values, shown, sign="+" if one.is_lift else "")
    titles = [drawable(task, most=22) for task in tasks]
    axes.set_xticks(range(len(tasks)), titles, rotation=60, ha="right", rotation_mode="anchor")
    axes.tick_params(axis="x", length=0, pad=2)
    axes.set_title(drawable(one.title, most=34))
    axes.spines[:].set_visible(False)
    for border in _borders(langs):
        axes.axhline(border, color="white", linewidth=1.2)
    height = max(len(langs) * ROW, 0.6)
    bar = axes.figure.colorbar(shown, ax=axes, location="bottom", fraction=BAR / height, pad=0.01, aspect=inches / BAR)
    bar.set_label("lift in points" if one.is_lift else "score")
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=2)
    bar.ax.locator_params(nbins=4)


def _numbers(axes: Axes, table: np.ndarray, shown: Any, *, sign: str) -> None:
    """The numbers, dark or light as their ground asks for."""
    for (row, column), value in np.ndenumerate(table):
        if np.isfinite(value):
            red, green, blue, _ = shown.cmap(shown.norm(value))
            bright = 0.299 * red + 0.587 * green + 0.114 * blue > 0.5
            text = f"{round(value):{sign}d}" if round(value) else "0"
            axes.text(column, row, text, ha="center", va="center", fontsize=4.8, color=DARK if bright else "white")


def _borders(langs: Sequence[str]) -> list[float]:
    """Where one family ends and the next begins."""
    return [row - 0.5 for row in range(1, len(langs)) if _family(langs[row]) != _family(langs[row - 1])]


def _family(lang: str) -> str:
    return "" if lang == "en" else language(lang).family


def _families(axes: Axes, langs: Sequence[str], *, columns: int) -> None:
    """The names of the families to the right, those of several languages."""
    edges = [-0.5, *_borders(langs), len(langs) - 0.5]
    for start, end in pairwise(edges):
        if end - start >= 1 and (name := _family(langs[int(start + 0.5)])):
            axes.text(
                columns - 0.35, (start + end) / 2, drawable(name, most=22), va="center", fontsize=5.2, color=GREY, clip_on=False
            )
