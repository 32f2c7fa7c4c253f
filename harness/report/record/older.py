"""What older requests of a run folder had in the place of cells that newer ones have asked for again, and what differs.

results = older_results(settled.older)
results[0].date, results[0].languages, results[0].differs       # '2026-11-28T09:33:37Z', ('de',), ('test rows',)
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.api.protocols import Json
from harness.report.record.newest import AskedCell, CellKey, OlderCell, cell_key
from harness.report.record.stage_facts import portable
from harness.runtime.stages import canonical, read_json
from harness.scoring.score import SCORE_FILE
from harness.scoring.sums import ordered_mean
from harness.specs.limit import Limit

_WORDS = (
    (re.compile(r"predict data|predict spec\.data\b.*"), "test rows"),
    (re.compile(r"predict prompt\..*|predict spec\.prompt\b.*|predict chat_format"), "prompt"),
    (re.compile(r"predict shots\b.*"), "rows of solved examples"),
    (re.compile(r"predict calibration\b.*"), "rows that choose the threshold"),
    (re.compile(r"predict spec\.(lm_eval|fields|labels|label_values)\b.*"), "the task's file"),
    (re.compile(r"train tasks\.\d+\.(data|spec\.data)\b.*"), "training rows"),
    (re.compile(r"train tasks\.\d+\.validation\b.*"), "validation rows"),
    (re.compile(r"train tasks\.\d+\.exclude\b.*"), "test rows that are left out of training"),
    (re.compile(r"train training\.(.*)"), r"\1"),
    (re.compile(r"(?:predict|train) options\.(.*)|train tasks\.\d+\.options\.(.*)"), r"\1\2"),
    (re.compile(r"(?:predict|train) model\.fingerprint"), "weights"),
    (re.compile(r"(?:predict|train) model\.(.*)"), r"\1"),
    (re.compile(r"score (metrics|signatures|score)\b.*"), "metrics"),
)
"Places in the arguments of stages, and what they are in words."
_SHOWN = 40
"A value of so many characters is told; of a longer one only that it differs."


@dataclass(frozen=True, kw_only=True, slots=True)
class OlderResult:
    """The cells of one task and arm of an older request that differ from those of today in the same way."""

    date: str
    "Of the request; empty for one of an earlier version."
    model: str
    intermediate: str
    recipe: str | None
    route: str
    limit: Limit | None
    task: str
    languages: tuple[str, ...]
    seeds: tuple[int | None, ...]
    differs: tuple[str, ...]
    "What differs from what stands in its place, in words."
    is_replaced: bool
    "Whether something stands in its place."
    score: float | None
    "Mean over those of its cells that are finished; None = none is."
    cells: int

    def entry(self) -> dict[str, Json]:
        """As leaderboard.json has it."""
        return {name: _plain(getattr(self, name)) for name in type(self).__dataclass_fields__}


def older_results(cells: Sequence[OlderCell]) -> list[OlderResult]:
    """One entry for each request, arm, task and difference."""
    groups: dict[tuple[Any, ...], list[OlderCell]] = {}
    for old in cells:
        key = cell_key(old.cell.asked)
        arm = (key.model, key.intermediate, key.recipe, key.route, key.limit, key.task)
        request = old.cell.request
        groups.setdefault((request.age, arm, tuple(_differences(old)), old.newer is not None), []).append(old)
    results = []
    for (_, _, differs, is_replaced), members in sorted(groups.items(), key=lambda item: canonical(list(map(str, item[0])))):
        keys = [cell_key(old.cell.asked) for old in members]
        scores = [value for old in members if (value := _score(old.cell)) is not None]
        results.append(_result(members[0], keys, differs=differs, is_replaced=is_replaced, scores=scores))
    return results


def _result(
    first: OlderCell, keys: Sequence[CellKey], *, differs: Sequence[str], is_replaced: bool, scores: Sequence[float]
) -> OlderResult:
    key = keys[0]
    return OlderResult(
        date=first.cell.request.content.date,
        model=key.model,
        intermediate=key.intermediate,
        recipe=key.recipe,
        route=key.route,
        limit=key.limit,
        task=key.task,
        languages=tuple(dict.fromkeys(one.lang for one in keys)),
        seeds=tuple(dict.fromkeys(one.seed for one in keys)),
        differs=tuple(differs),
        is_replaced=is_replaced,
        score=ordered_mean(scores) if scores else None,
        cells=len(keys),
    )


def _score(cell: AskedCell) -> float | None:
    """The score that lies in the folder of a cell; None where it is not finished or cannot be read."""
    folder = cell.request.root / str(cell.asked.score)
    try:
        return float(read_json(folder / SCORE_FILE)["score"]["value"]) if (folder / "done.json").is_file() else None
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _differences(old: OlderCell) -> list[str]:
    """How an older cell differs from the one that stands in its place, each in words."""
    found = list(old.changed)
    if old.newer is None:
        return found
    one, other = old.cell, old.newer
    pairs = [("predict", one.asked.predict, other.asked.predict), ("score", one.asked.score, other.asked.score)]
    pairs += [("train", a, b) for a, b in zip(one.asked.train, other.asked.train, strict=False)]
    for verb, old_name, new_name in pairs:
        if old_name and new_name and old_name != new_name:
            before, now = _arguments(one.request.root / old_name), _arguments(other.request.root / new_name)
            found += [_words(f"{verb} {place}", a, b) for place, a, b in _apart(before, now, "")] if before and now else []
    unknown = "the arguments of a stage that has not begun, or the version of this program"
    return list(dict.fromkeys(found)) or [unknown]


def _arguments(folder: Path) -> Mapping[str, Any]:
    """What a stage received; empty where that cannot be read."""
    try:
        found = read_json(folder / "args.json")["args"]
    except (OSError, ValueError, TypeError, KeyError):
        return {}
    return found if isinstance(found, Mapping) else {}


def _apart(one: Any, other: Any, place: str) -> Iterator[tuple[str, Any, Any]]:
    """Dotted places at which two JSON values differ, with both values."""
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        one, other = (dict(enumerate(values)) for values in (one, other))
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for key in [*one, *(key for key in other if key not in one)]:
            inner = f"{place}.{key}" if place else str(key)
            yield from _apart(one.get(key), other.get(key), inner) if one.get(key) != other.get(key) else ()
    elif one != other:
        yield place, one, other


def _words(place: str, before: Any, now: Any) -> str:
    """A difference in words; short values with what they were and are."""
    for pattern, words in _WORDS:
        found = pattern.fullmatch(place)
        if found:
            name = found.expand(words)
            break
    else:
        name = place
    is_named = name == place or "\\" in words
    texts = ["default" if value is None else str(portable(value)) for value in (before, now)]
    return f"{name} {texts[0]} → {texts[1]}" if is_named and max(map(len, texts)) <= _SHOWN else name


def _plain(value: Any) -> Json:
    return list(value) if isinstance(value, tuple) else value
