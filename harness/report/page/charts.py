"""Charts of the page as Vega-Lite specifications, drawn in the reader's browser; rows stand beside, for selects to filter.

chart = forest(rows, id_="lifts", title="Lifts", about="...", selects=[select("model", "Model", rows)])
chart["spec"], chart["rows"], chart["selects"]

Colours are Okabe and Ito's (https://jfly.uni-koeln.de/color/), which colour-blind readers tell apart; shapes differ as well.
Rows have `value`, `low`, `high` (None where there is no interval) and the fields that the chart names.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from harness.report.board.number_format import NONE

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C564B")
GREY = "#7A7A7A"
"Of the setting without an intermediate phase, to which the others are compared."
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right", "triangle-left")
ALL = ""
"The choice of a select that shows everything."
Rows = Sequence[Mapping[str, Any]]
_APART = 0.02
"Decades by which the points of two series at the same size stand apart, so that neither hides the other."


def select(field: str, label: str, rows: Rows, *, everything: str = "", default: str | None = None) -> dict[str, Any]:
    """A choice among the values of a field, in the order of the rows; `everything` names the choice of all of them."""
    values = list(dict.fromkeys(str(row[field]) for row in rows))
    return {
        "field": field,
        "label": label,
        "values": [*([[ALL, everything]] if everything and len(values) > 1 else []), *([value, value] for value in values)],
        "default": default if default in values else ALL if everything and len(values) > 1 else (values[0] if values else ALL),
    }


def chart(id_: str, title: str, about: str, spec: Mapping[str, Any], rows: Rows, **more: Any) -> dict[str, Any]:
    """What the page needs of a chart; `columns` are the fields of the table that says the same in numbers."""
    whole = {"$schema": "https://vega.github.io/schema/vega-lite/v6.json", "width": "container", "data": {"name": "rows"}, **spec}
    return {"id": id_, "title": title, "about": about, "spec": whole, "rows": list(rows), **more}


def by_series(field: str, values: Sequence[str], *, title: str) -> dict[str, Any]:
    """Colour and shape of a series; without an intermediate phase it is grey."""
    others = [value for value in values if value != NONE]
    colours = [GREY if value == NONE else COLOURS[others.index(value) % len(COLOURS)] for value in values]
    shapes = [SHAPES[number % len(SHAPES)] for number in range(len(values))]
    legend = {"title": title, "orient": "top", "symbolSize": 90, "labelLimit": 260, "symbolOpacity": 1}
    both = {"field": field, "type": "nominal", "legend": legend if len(values) > 1 else None}
    return {
        "color": {**both, "scale": {"domain": list(values), "range": colours}},
        "shape": {**both, "scale": {"domain": list(values), "range": shapes}},
    }


def apart(rows: Rows, field: str) -> list[dict[str, Any]]:
    """Rows with `x`: their size, moved a little by their series."""
    values = list(dict.fromkeys(row[field] for row in rows))
    middle = (len(values) - 1) / 2
    return [{**row, "x": row["size"] * 10 ** (_APART * (values.index(row[field]) - middle))} for row in rows]


def by_size(rows: Rows, *, id_: str, title: str, about: str, axis: str, **more: Any) -> dict[str, Any]:
    """Numbers with intervals by the size of the model, on a log axis, a colour a setting.

    Rows of `part` 'line' are a fitted line, of 'at' what it says at some sizes.
    """
    series, series_title = "setting", "Intermediate setting"
    values = list(dict.fromkeys(str(row[series]) for row in rows))
    colours = by_series(series, values, title=series_title)
    x = {
        "field": "x",
        "type": "quantitative",
        "scale": {"type": "log", "nice": False, "padding": 24},
        "title": "parameters without embeddings",
        "axis": {
            "grid": False,
            "values": _round_sizes(rows),
            "labelExpr": "replace(format(datum.value, '~s'), 'G', 'B')",
            "labelOverlap": "greedy",
            "labelSeparation": 8,
        },
    }
    y = {"field": "value", "type": "quantitative", "title": axis, "scale": {"zero": False, "nice": True}}
    detail = [{"field": series}, {"field": "family"}]
    tooltip = [
        {"field": name, "title": shown, **({"format": ".2f"} if name in _NUMBERS else {"format": ",d"} if name == "size" else {})}
        for name, shown in (("backbone", "model"), ("size", "parameters"), (series, series_title.lower()), ("value", "value"),
                            ("low", "from"), ("high", "to"))
    ]  # fmt: skip
    points = {"filter": "datum.part === 'point'"}
    layer = [
        {"mark": {"type": "rule", "strokeDash": [2, 3], "opacity": 0.7}, "encoding": {"y": {"datum": 0}}},
        {
            "transform": [points],
            "mark": {"type": "line", "strokeWidth": 1.5, "opacity": 0.55},
            "encoding": {"x": x, "y": y, "color": colours["color"], "detail": detail},
        },
        {
            "transform": [{"filter": "datum.part === 'line'"}],
            "mark": {"type": "line", "strokeDash": [6, 4], "strokeWidth": 1.5},
            "encoding": {"x": x, "y": y, "color": colours["color"], "detail": detail},
        },
        {
            "transform": [{"filter": "datum.part !== 'line' && isValid(datum.low)"}],
            "mark": {"type": "rule", "strokeWidth": 1.8},
            "encoding": {
                "x": x, "y": {**y, "field": "low"}, "y2": {"field": "high"}, "color": colours["color"],
                "strokeDash": {"condition": {"test": "datum.part === 'at'", "value": [2, 2]}, "value": [1, 0]},
            },
        },
        {
            "transform": [points],
            "mark": {"type": "point", "filled": True, "size": 80, "opacity": 1},
            "encoding": {"x": x, "y": y, **colours, "tooltip": tooltip},
        },
        {
            "transform": [{"filter": "datum.part === 'at'"}],
            "mark": {"type": "point", "shape": "diamond", "size": 110, "filled": False, "strokeWidth": 1.8},
            "encoding": {"x": x, "y": y, "color": colours["color"], "tooltip": tooltip},
        },
    ]  # fmt: skip
    if axis.startswith("score"):  # whose axis need not hold 0
        layer = layer[1:]
    columns = ["backbone", "family", "size", series, "value", "low", "high"]
    return chart(id_, title, about, {"height": 320, "layer": layer}, apart(rows, series), columns=columns, **more)


_NUMBERS = ("value", "low", "high")


def _round_sizes(rows: Rows) -> list[float]:
    """Ticks of a log axis: 1, 2 and 5 of each power of ten that the sizes span."""
    sizes = [row["size"] for row in rows] or [1]
    powers = range(math.floor(math.log10(min(sizes))), math.ceil(math.log10(max(sizes))) + 1)
    return [float(first * 10**power) for power in powers for first in (1, 2, 5)]


def forest(rows: Rows, *, id_: str, title: str, about: str, axis: str, **more: Any) -> dict[str, Any]:
    """Numbers with intervals below each other, a line a `label`, settings side by side in their colours; 0 is marked."""
    values = list(dict.fromkeys(str(row["setting"]) for row in rows))
    colours = by_series("setting", values, title="Intermediate setting")
    x = {"field": "value", "type": "quantitative", "title": axis, "axis": {"tickCount": 7}}
    y = {
        "field": "label",
        "type": "nominal",
        "sort": None,
        "title": None,
        "axis": {"domain": False, "ticks": False, "labelPadding": 8, "grid": True, "tickBand": "extent"},
    }
    offset = {"field": "setting", "type": "nominal", "scale": {"domain": values}} if len(values) > 1 else None
    place = {"y": y, **({"yOffset": offset} if offset else {})}
    tooltip = [
        {"field": "label", "title": "where"},
        {"field": "setting"},
        *(
            {"field": name, "title": shown, "format": "+.2f"}
            for name, shown in zip(_NUMBERS, ("lift", "from", "to"), strict=True)
        ),
    ]
    layer = [
        {"mark": {"type": "rule", "strokeWidth": 1.2}, "encoding": {"x": {"datum": 0}}},
        {
            "transform": [{"filter": "isValid(datum.low)"}],
            "mark": {"type": "rule", "strokeWidth": 2},
            "encoding": {**place, "x": {**x, "field": "low"}, "x2": {"field": "high"}, "color": colours["color"]},
        },
        {
            "mark": {"type": "point", "filled": True, "size": 70, "opacity": 1},
            "encoding": {**place, "x": x, **colours, "tooltip": tooltip},
        },
    ]
    more |= {"rowHeight": 26 if len(values) == 1 else 12 + 15 * len(values)}  # pixels; selects change the number of rows
    return chart(id_, title, about, {"layer": layer}, rows, columns=["label", "setting", *_NUMBERS], **more)


def courses(rows: Rows, *, id_: str, title: str, about: str, axis: str, settings: Sequence[str], **more: Any) -> dict[str, Any]:
    """Curves by step, a colour a setting of `settings`; where several models or seeds are shown, each has its own line."""
    colours = by_series("setting", settings, title="Intermediate setting")
    encoding = {
        "x": {
            **{"field": "step", "type": "quantitative", "title": "step", "scale": {"zero": True}},
            "axis": {"tickCount": 8, "grid": False},
        },
        "y": {"field": "value", "type": "quantitative", "title": axis, "scale": {"zero": False, "padding": 8}},
        "color": colours["color"],
        "detail": [{"field": "stage"}],
        "tooltip": [{"field": "stage"}, {"field": "step", "format": ",d"}, {"field": "value", "format": ".4g"}],
    }
    layer = [
        {"mark": {"type": "line", "strokeWidth": 1.6}, "encoding": encoding},
        {
            "transform": [{"filter": "datum.marked"}],
            "mark": {"type": "point", "filled": True, "size": 60, "opacity": 1},
            "encoding": {**encoding, "shape": colours["shape"]},
        },
    ]
    return chart(id_, title, about, {"height": 240, "layer": layer}, rows, columns=["stage", "step", "value"], **more)
