"""Tables of lifts by size, for the terminal: one a setting, a row a backbone, a column a group of cells.

parts = lift_tables(document)
"""

from collections.abc import Mapping, Sequence

from harness.api.protocols import Json
from harness.study.results.text_numbers import NOTHING, parameters, plus_minus, span
from harness.study.statistics.scales import UNITS

_AT_ONCE = 7
"Columns of one table; more are continued below."
_TITLES = {"zero_shot": "zero-shot", "english": "English", "xtreme": "with English", "same_task": "same task"}


def lift_tables(document: Mapping[str, Json]) -> list[str]:
    """The tables of all settings, on the scale of the verdicts."""
    scale = document["fixed"]["scale"]
    by_setting: dict[str, list[Mapping[str, Json]]] = {}
    for entry in document["lifts"]:
        if entry["kind"] == "target" or (entry["kind"] in _TITLES and entry["group"] == "all targets"):
            by_setting.setdefault(entry["setting"], []).append(entry)
    found = []
    for setting, entries in by_setting.items():
        for start in range(0, len(entries), _AT_ONCE):
            shown = entries[start : start + _AT_ONCE]
            title = f"Lifts of {setting} in {UNITS[scale]}, ± half of the 95 % interval" + (" (continued)" if start else "")
            refused = [f"  {_title(one)}: not on this scale: {one['refused'][scale]}" for one in shown if scale in one["refused"]]
            found.append("\n".join([title, _table(document, shown, scale), *refused, *_lines(shown, document["fixed"])]))
    return found


def _lines(entries: Sequence[Mapping[str, Json]], fixed: Mapping[str, Json]) -> list[str]:
    """The families' lines of the zero-shot lift."""
    found = []
    for entry in entries:
        if entry["kind"] != "zero_shot" or not entry["scales"][fixed["scale"]]:
            continue
        for one in entry["scales"][fixed["scale"]]["families"]:
            if one["line"] is None:
                found.append(f"  zero-shot, {one['why']}")
                continue
            at = [
                f"{span(one['line'][name])} at {parameters(fixed[name])}"
                if one["line"][name]
                else f"nothing is said of {parameters(fixed[name])}"
                for name in ("reference", "target")
                if fixed[name] is not None
            ]
            slope = f"{span(one['line']['slope'])} for ten times the size"
            found.append(f"  zero-shot, {one['family']}: {'; '.join([slope, *at])}")
    return found


def _title(entry: Mapping[str, Json]) -> str:
    if entry["kind"] in _TITLES:
        return _TITLES[entry["kind"]]
    return f"{entry['group']} (same task)" if entry["same_task"] else str(entry["group"])


def _table(document: Mapping[str, Json], entries: Sequence[Mapping[str, Json]], scale: str) -> str:
    lifts = [{one["backbone"]: one for one in (entry["scales"][scale] or {"backbones": ()})["backbones"]} for entry in entries]
    families = list(dict.fromkeys(one["family"] for one in document["backbones"]))
    own = [one for one in document["backbones"] if not one["bridges"]]
    rows = []
    for member in sorted(own, key=lambda one: (families.index(one["family"]), one["size"])):
        name = member["backbone"]
        seeds = sorted({one[name]["num_seeds"] for one in lifts if name in one})
        shown = [plus_minus(one[name]["lift"]) if name in one else NOTHING for one in lifts]
        num = NOTHING if not seeds else str(seeds[0]) if len(seeds) == 1 else f"{seeds[0]}-{seeds[-1]}"
        rows.append([name, parameters(member["size"]), num, *shown])
    return _columns([["backbone", "size", "seeds", *map(_title, entries)], *rows])


def _columns(rows: Sequence[Sequence[str]]) -> str:
    """Rows with aligned columns, the first row a header."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [[cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in rows]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join("  " + "  ".join(line).rstrip() for line in lines)
