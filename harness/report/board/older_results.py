"""Results of older requests of a folder on the board: in notes, and on request in a table.

older_notes(board)      # ['Older: of 2026-11-28 09:33:37 UTC: tiny + none, xnli in de: differs in test rows.']
parts = older_section(board)
"""

from collections.abc import Mapping

from harness.api.protocols import Json
from harness.report.board.number_format import NOTHING, arm_text, language_list, listed
from harness.report.board.tables import Column, in_blocks

ABOUT = "Of requests that a newer one of the same folder has taken the place of; in no mean and no lift of this board."
_UNDATED = "a request without a date"


def older_notes(board: Mapping[str, Json]) -> list[str]:
    """A note for each older request, arm, task and difference."""
    return [f"Older: {older_text(entry)}." for entry in board["older"]]


def older_text(entry: Mapping[str, Json]) -> str:
    """An older result in words: its date, what it is of, and how it differs from what stands in its place."""
    seeds = [str(seed) for seed in entry["seeds"] if seed is not None]
    what = f"{arm_text(entry)}, {entry['task']} in {language_list(entry['languages'])}" + (
        f", seed {listed(seeds)}" if seeds else ""
    )
    return f"of {_date(entry)}: {what}: differs in {_differences(entry)}"


def older_section(board: Mapping[str, Json]) -> list[str]:
    """The table of older results; empty if there are none."""
    entries = board["older"]
    if not entries:
        return []
    keys = [Column("given", [_date(entry) for entry in entries], left=True)]
    columns = [
        Column("line", [arm_text(entry) for entry in entries], left=True),
        Column("task", [entry["task"] for entry in entries], left=True),
        Column("languages", [language_list(entry["languages"]) for entry in entries], left=True),
        Column("score", [NOTHING if entry["score"] is None else f"{entry['score']:.1f}" for entry in entries]),
        Column("differs in", [_differences(entry) for entry in entries], left=True),
    ]
    return ["## Older results", ABOUT, in_blocks(keys, columns)]


def _differences(entry: Mapping[str, Json]) -> str:
    return "; ".join(entry["differs"]) + ("" if entry["is_replaced"] else "; nothing stands in its place")


def _date(entry: Mapping[str, Json]) -> str:
    """The date of a request for a reader, to the second."""
    date = entry["date"]
    return f"{date[:10]} {date[11:19]} UTC" if date else _UNDATED
