"""Means over groups of languages: family, script, word order, and whether the backbone's pretraining covered them.

entries = language_group_entries(task, task_numbers, covered=("de", "sw"))     # for leaderboard.json: `cuts`
parts = language_group_sections(Lines(board), ["family"])                      # for the page

English is left out of every group: it is the language of training, and its group would look better for it.
"""

from collections.abc import Collection, Mapping, Sequence

from harness.api.protocols import Json
from harness.data.languages import GROUPINGS, groups
from harness.report.board.means import ENGLISH, TaskNumbers
from harness.report.board.number_format import GUESSING, INCOMPLETE, NONE, NOTHING, bracketed, language_list, marks
from harness.report.board.table_rows import Lines, arm_key
from harness.report.board.tables import Column, in_blocks
from harness.report.record.schema import RequestedTask
from harness.scoring.bootstrap import BootstrapEstimate, mean_of, summarise

ABOUT = {
    "family": "Mean over the languages of a family, English left out.",
    "script": "Mean over the languages written in a script (ISO 15924), English left out.",
    "word_order": "Mean over the languages of a dominant order of subject, verb and object, English left out.",
    "covered": "Mean over the languages that the backbone's pretraining held, and over those it did not, English left out.",
}


def language_group_entries(task: RequestedTask, found: TaskNumbers, *, covered: Collection[str] | None) -> list[dict[str, Json]]:
    """One entry for each grouping and group of a task's languages that has a score.

    `covered` are the languages of the backbone's pretraining; None = not recorded, then there is no such grouping.
    """
    codes = [lang for lang in dict.fromkeys([*task.languages, *found.languages]) if lang != ENGLISH]
    return [
        {"by": by, "group": name, **_numbers(members, found)}
        for by in GROUPINGS
        if by != "covered" or covered is not None
        for name, members in groups(by, codes, covered=covered).items()
        if set(members) & set(found.languages)
    ]


def _numbers(members: Sequence[str], found: TaskNumbers) -> dict[str, Json]:
    """Score and lift of a group, mean over those of its languages that have one."""
    scored = {lang: found.languages[lang] for lang in members if lang in found.languages}
    lifts = {lang: numbers.lift for lang, numbers in scored.items() if numbers.lift}
    return {
        "n": len(scored),
        "languages": list(scored),
        "missing_languages": [lang for lang in members if lang not in scored],
        "score": _interval([numbers.score for numbers in scored.values()]),
        "lift": _interval(list(lifts.values())),
        "lift_missing": [lang for lang in scored if lang not in lifts],
    }


def _interval(estimates: Sequence[BootstrapEstimate]) -> Json:
    return summarise(mean_of(estimates))._asdict() if estimates else None


def language_group_sections(lines: Lines, by: Sequence[str]) -> list[str]:
    """For each grouping asked for, a table of each task and backbone: one line a group, one column an intermediate setting."""
    parts: list[str] = []
    for grouping in dict.fromkeys(by):
        parts += [f"## By {grouping.replace('_', ' ')}", ABOUT[grouping]]
        parts += _unknown(lines) if grouping == "covered" else []
        parts += [
            text for task in lines.board["task_order"] for model in lines.models for text in _table(lines, grouping, task, model)
        ]
    return parts


def _unknown(lines: Lines) -> list[str]:
    """Backbones of which the pretraining languages are not known."""
    models = lines.board["models"]
    names = [name for name in lines.models if models[name]["adapter"] != "fake" and not models[name]["coverage"]]
    return [f"Not recorded which languages the pretraining of {', '.join(names)} held."] if names else []


def _table(lines: Lines, by: str, task: str, model: str) -> list[str]:
    by_group: dict[str, dict[tuple[object, ...], Mapping[str, Json]]] = {}
    for entry in lines.board["cuts"]:
        if (entry["by"], entry["task"], entry["model"]) == (by, task, model):
            by_group.setdefault(entry["group"], {})[arm_key(entry)] = entry
    if not by_group:
        return []
    widest = [max(found.values(), key=lambda entry: entry["n"]) for found in by_group.values()]
    keys = [
        Column(by.replace("_", " "), list(by_group), left=True),
        Column("n", [str(entry["n"]) for entry in widest]),
    ]
    columns = []
    for entry in lines.of(model, task):
        found = [group.get(arm_key(entry)) for group in by_group.values()]
        mark = marks({**entry, "complete": True})
        columns.append(Column(lines.label(entry), [_score_text(group, mark) for group in found]))
        if entry["intermediate"] != NONE:
            lift_mark = mark + (GUESSING if entry["lift_at_guessing"] else "")
            columns.append(Column("lift", [_lift_text(group, lift_mark) for group in found], joined=True))
    members = [f"{name}: {language_list(entry['languages'])}" for name, entry in zip(by_group, widest, strict=True)]
    return [f"### {task}: {model}, by {by.replace('_', ' ')}", in_blocks(keys, columns), "; ".join(members) + "."]


def _score_text(group: Mapping[str, Json] | None, mark: str) -> str:
    if group is None:
        return NOTHING
    return mark + (INCOMPLETE if group["missing_languages"] else "") + bracketed(group["score"])


def _lift_text(group: Mapping[str, Json] | None, mark: str) -> str:
    if group is None or group["lift"] is None:
        return NOTHING
    return mark + (INCOMPLETE if group["missing_languages"] or group["lift_missing"] else "") + bracketed(group["lift"], sign="+")
