"""Tables of lifts by size, for the terminal: one a setting, a row a backbone, a column a group of cells.

parts = lift_tables(document)
print(filled("  A line that is longer than a line may be ..."))
"""

from collections.abc import Mapping, Sequence

from harness.api.protocols import Json
from harness.api.text_lines import lines_of
from harness.study.results.text_numbers import NOTHING, parameters, span
from harness.study.statistics.scales import UNITS

WIDTH = 100
"Columns of a line of what is printed."
_GAP = "  "
_TITLES = {"zero_shot": "zero-shot", "english": "English", "xtreme": "with English", "same_task": "same task"}


def lift_tables(document: Mapping[str, Json], *, width: int = WIDTH) -> list[str]:
    """The tables of all settings, on the scale of the verdicts; columns that have no place on a line are continued below."""
    scale = document["fixed"]["scale"]
    by_setting: dict[str, list[Mapping[str, Json]]] = {}
    for entry in document["lifts"]:
        if entry["kind"] == "target" or (entry["kind"] in _TITLES and entry["group"] == "all targets"):
            by_setting.setdefault(entry["setting"], []).append(entry)
    found = []
    for setting, entries in by_setting.items():
        title = f"Lifts of {setting} in {UNITS[scale]}, with their 95 % intervals"
        refused = [f"  {_title(one)}: not on this scale: {one['refused'][scale]}" for one in entries if scale in one["refused"]]
        below = [filled(line, width) for line in (*refused, *_lines(entries, document["fixed"]))]
        found.append("\n".join([title, "\n\n".join(_tables(document, entries, scale, width)), *below]))
    return found


def filled(prose: str, width: int = WIDTH) -> str:
    """Each line of some prose on lines that are no longer than the width; below an indented line it goes on further in."""
    found = []
    for line in prose.split("\n"):
        indent = len(line) - len(line.lstrip())
        below = " " * (indent + 2 if indent else 0)
        first, *rest = lines_of(line, limit=width)
        found += [first, *(below + text for text in lines_of(" ".join(rest), limit=width - len(below)) if text)]
    return "\n".join(found)


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


def _tables(document: Mapping[str, Json], entries: Sequence[Mapping[str, Json]], scale: str, width: int) -> list[str]:
    lifts = [{one["backbone"]: one for one in (entry["scales"][scale] or {"backbones": ()})["backbones"]} for entry in entries]
    families = list(dict.fromkeys(one["family"] for one in document["backbones"]))
    own = [one for one in document["backbones"] if not one["bridges"]]
    rows = []
    for member in sorted(own, key=lambda one: (families.index(one["family"]), one["size"])):
        name = member["backbone"]
        seeds = sorted({one[name]["num_seeds"] for one in lifts if name in one})
        shown = [span(one[name]["lift"]) if name in one else NOTHING for one in lifts]
        num = NOTHING if not seeds else str(seeds[0]) if len(seeds) == 1 else f"{seeds[0]}-{seeds[-1]}"
        rows.append([name, parameters(member["size"]), num, *shown])
    return _blocks([["backbone", "size", "seeds", *map(_title, entries)], *rows], keys=3, width=width)


def _blocks(rows: Sequence[Sequence[str]], *, keys: int, width: int) -> list[str]:
    """Rows with aligned columns, the first row a header, in as many tables as the width asks for, each with the key columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    blocks: list[list[int]] = [[]]
    for number in range(keys, len(widths)):
        shown = [*range(keys), *blocks[-1], number]
        if blocks[-1] and sum(widths[one] + len(_GAP) for one in shown) > width:
            blocks.append([])
        blocks[-1].append(number)
    return [_table(rows, widths, [*range(keys), *block]) for block in blocks]


def _table(rows: Sequence[Sequence[str]], widths: Sequence[int], shown: Sequence[int]) -> str:
    lines = [[row[one].ljust(widths[one]) for one in shown] for row in rows]
    lines.insert(1, ["-" * widths[one] for one in shown])
    return "\n".join(_GAP + _GAP.join(line).rstrip() for line in lines)
