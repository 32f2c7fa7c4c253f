"""Arms that have learnt nothing: whose score cannot be told from guessing, or whose training says so; and the lifts between them.

mark_guessing(entries)         # of task_scores: adds at_guessing and lift_at_guessing to each, and to each of their languages
mark_groups(group_scores, entries, material.groups)
"""

from collections.abc import Mapping, Sequence
from typing import Any

from harness.report.board.number_format import NONE
from harness.report.record.schema import RequestedGroup

_LINE = ("model", "recipe", "limit", "prompt")
_SAME_ARM = (*_LINE, "task")


def mark_guessing(entries: Sequence[dict[str, Any]]) -> None:
    """Say of each score whether it is at the level of guessing (its interval reaches down to chance), and of each lift whether a
    side of it is.
    """
    for entry in entries:
        chance, nothing = entry["chance"], bool(entry["degenerate_seeds"])
        entry["at_guessing"] = nothing or (entry["score"] is not None and entry["score"]["low"] <= chance)
        for numbers in entry["languages"].values():
            numbers["at_guessing"] = nothing or numbers["score"]["low"] <= chance
    for entry in entries:
        baseline = _baseline(entry, entries) if entry["intermediate"] != NONE else None
        entry["lift_at_guessing"] = _either(entry, baseline) if entry["lift"] else False
        for lang, numbers in entry["languages"].items():
            other = baseline["languages"].get(lang) if baseline else None
            numbers["lift_at_guessing"] = _either(numbers, other) if numbers["lift"] else False


def mark_groups(
    groups: Sequence[dict[str, Any]], entries: Sequence[dict[str, Any]], members: Mapping[str, RequestedGroup]
) -> None:
    """Say of the lift of each group whether that of one of its tasks is between arms that have learnt nothing."""
    for group in groups:
        own = [entry for entry in entries if all(entry[name] == group[name] for name in (*_LINE, "intermediate"))]
        tasks = members[group["group"]].tasks
        group["lift_at_guessing"] = bool(group["lift"]) and any(e["lift_at_guessing"] for e in own if e["task"] in tasks)


def _either(one: dict[str, Any], other: dict[str, Any] | None) -> bool:
    return bool(one["at_guessing"] or (other and other["at_guessing"]))


def _baseline(entry: dict[str, Any], entries: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """The entry without the intermediate phase: of the same recipe, or untrained."""
    found = [other for other in entries if other["intermediate"] == NONE and _agree(entry, other)]
    return next((other for other in found if other["recipe"] == entry["recipe"]), found[0] if found else None)


def _agree(entry: dict[str, Any], other: dict[str, Any]) -> bool:
    return all(entry[name] == other[name] or (name == "recipe" and other[name] is None) for name in _SAME_ARM)
