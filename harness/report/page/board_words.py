"""What a board says, in short: did each intermediate setting help, where most and least, is it sure, and how with size.

in_short(Lines(board))["settings"]        # of each setting: pairs of a question and its answer
notices(board)                            # what must be said before any number
"""

from collections.abc import Mapping, Sequence
from typing import Any

from harness.api.protocols import Json
from harness.report.board.number_format import size
from harness.report.board.table_rows import Lines, arm_key
from harness.report.page.language_names import language_name
from harness.report.page.study_words import parameters, signed, span
from harness.runtime.stages import AGAIN
from harness.specs.limit import limit_order, limit_words

ENGLISH = "en"
_FEW = 3
_MOSTLY = 3
"So many times as many gains as losses, or the other way round, are called most."


def notices(board: Mapping[str, Json]) -> list[dict[str, str]]:
    """`kind` and `text` of what weakens the numbers, the worst first."""
    found = []
    if board["synthetic"]:
        found.append(
            ("synthetic", "Synthetic. Some scores are of a miniature world made up by this project: for learning the tool, not "
             "for claims about languages or models.")
        )  # fmt: skip
    damaged = [entry for entry in board["missing"] if AGAIN in entry["reason"]]
    if damaged:
        found.append(
            ("damaged", f"Damaged. {_scores(len(damaged))} not believed, because files behind them are not as they were written; "
             f"{AGAIN}.")
        )  # fmt: skip
    limits = sorted({entry["limit"] for entry in board["task_scores"] if entry["partial"]}, key=limit_order)
    if limits:
        said = "; ".join(map(limit_words, limits))
        found.append(("partial", f"Partial. Some test sets are samples of their rows ({said})."))
    others = len(board["missing"]) - len(damaged)
    if others:
        found.append(("missing", f"Incomplete. {_scores(others)} missing that were asked for; see below for which, and why."))
    if board["failures"]:
        found.append(("failed", f"{len(board['failures'])} stages failed; see the notes."))
    if board["degenerate"]:
        number, cells = len(board["degenerate"]), sum(entry["cells"] for entry in board["degenerate"])
        found.append(("degenerate", f"{number} trainings or cells learnt nothing ({_scores(cells, be=False)})."))
    return [{"kind": kind, "text": text} for kind, text in found]


def _scores(number: int, *, be: bool = True) -> str:
    words = f"{number:,} score" + ("" if number == 1 else "s")
    return words + (" is" if number == 1 else " are") * be


def in_short(lines: Lines) -> dict[str, Any]:
    """`rows`, one for each line of the board that has lifts, and `settings`, what each says over all models."""
    found = {number: row for number, arm in enumerate(lines.lifted) if (row := _arm_row(lines, arm))}
    by_setting: dict[str, list[dict[str, Any]]] = {}
    for row in found.values():
        by_setting.setdefault(row["setting"], []).append(row)
    settings = [{"setting": setting, "lines": _setting_lines(rows)} for setting, rows in by_setting.items()]
    return {"rows": list(found.values()), "settings": settings}


def _setting_lines(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Pairs of a short question and its answer, over the models of a setting."""
    above, below, total = (sum(row[key] for row in rows) for key in ("above", "below", "total"))
    means = [row["value"] for row in rows]
    one = rows[0]["interval"] if len(rows) == 1 else None
    if one:
        verdict = _verdict(int(one["low"] > 0), int(one["high"] < 0), 1)
        said = f"{verdict} Lift {span(one)} points over {rows[0]['over']}."
    else:
        spread = (
            f"{signed(means[0])} points" if len(rows) == 1 else f"{signed(min(means))} to {signed(max(means))} points, by model"
        )
        said = f"{_verdict(above, below, total)} Mean lift {spread}."
    sure = f"{_counted(above, 'sure gain')}, {_counted(below, 'sure loss', 'sure losses')}, {total - above - below} open"
    each = [
        (one["lift"]["value"], f"{one['task']} {span(one['lift'])}{_with(row, rows)}") for row in rows for one in row["lifts"]
    ]
    each.sort(key=lambda pair: -pair[0])
    lines = [
        ("Did it help?", said),
        ("Is it sure?", f"Of {_counted(total, 'lift')} of single tasks: {sure}."),
        ("Where most and least?", f"Most {each[0][1]}; least {each[-1][1]}." if len(each) > 1 else f"{each[0][1]}."),
    ]
    if len(rows) == 1 and rows[0]["languages"]:
        lines.append(("In which languages?", f"{rows[0]['languages']}."))
    if len(rows) > 1:
        known = [row for row in rows if row["inner"]]
        same = len({tuple(entry["task"] for entry in row["lifts"]) for row in known}) == 1
        of = [
            f"{row['model']} ({parameters(row['inner'])}{'' if same else ', ' + _tasks(row['total'])}) {signed(row['value'])}"
            for row in known
        ]
        lines += [("With size, smallest first?", f"{'; '.join(of)}.")] if len(known) > 1 else []
    return lines


def _verdict(above: int, below: int, total: int) -> str:
    """Words for so many sure gains and losses among some lifts."""
    if 2 * (above + below) < total:
        return "It cannot be told: most intervals hold 0." if total > 1 else "It cannot be told: the interval holds 0."
    if above >= _MOSTLY * below:
        return "Yes." if above == total else "Mostly yes."
    if below >= _MOSTLY * above:
        return "No: it does harm." if below == total else "Mostly no: it does harm."
    return "It helps here and harms there."


def _counted(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


def _tasks(number: int) -> str:
    return _counted(number, "task")


def _with(row: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> str:
    return f" with {row['model']}" if len(rows) > 1 else ""


def _arm_row(lines: Lines, arm: Mapping[str, Json]) -> dict[str, Any] | None:
    entries = [entry for task in lines.board["task_order"] if (entry := lines.tasks.get((*arm_key(arm), task))) and entry["lift"]]
    if not entries:
        return None
    groups = [lines.groups.get((*arm_key(arm), name)) for name in lines.board["groups"]]
    overall = next((entry for entry in groups if entry and entry["lift"]), None)
    mean = sum(entry["lift"]["value"] for entry in entries) / len(entries)
    told = f"{span(overall['lift'])} ({overall['group']})" if overall else f"{signed(mean)} (mean of {_tasks(len(entries))})"
    value = overall["lift"]["value"] if overall else mean
    above = sum(entry["lift"]["low"] > 0 for entry in entries)
    below = sum(entry["lift"]["high"] < 0 for entry in entries)
    by_task = list(entries)
    entries.sort(key=lambda entry: -entry["lift"]["value"])
    guessing = sum(entry["lift_at_guessing"] for entry in entries)
    return {
        "model": arm["model"],
        "size": size(lines.board["models"].get(arm["model"])),
        "inner": (lines.board["models"].get(arm["model"]) or {}).get("non_embedding_parameters"),
        "setting": lines.label(arm),
        "value": value,
        "interval": overall["lift"] if overall else None,
        "over": f"the group {overall['group']}" if overall else "",
        "helped": told,
        "above": above,
        "below": below,
        "total": len(entries),
        "lifts": by_task,
        "sure": f"of {_tasks(len(entries))}: {above} gained, {below} lost, {len(entries) - above - below} open"
        + (f"; {guessing} with a side at guessing" if guessing else ""),
        "most": f"{entries[0]['task']} {span(entries[0]['lift'])}",
        "least": f"{entries[-1]['task']} {span(entries[-1]['lift'])}",
        "languages": _languages(entries),
    }


def _languages(entries: Sequence[Mapping[str, Json]]) -> str:
    """The languages in which the mean lift over tasks is largest and smallest."""
    lifts: dict[str, list[float]] = {}
    for entry in entries:
        for lang, numbers in entry["languages"].items():
            if lang != ENGLISH and numbers["lift"]:
                lifts.setdefault(lang, []).append(numbers["lift"]["value"])
    means = sorted(((sum(own) / len(own), lang) for lang, own in lifts.items()), reverse=True)
    if len(means) < 2:
        return ""
    texts = [f"{language_name(lang)} {signed(value)}" for value, lang in means]
    few = _FEW if len(texts) >= 2 * _FEW else 1
    return f"most {', '.join(texts[:few])}; least {', '.join(texts[::-1][:few])}"


def missing_languages(lines: Lines) -> list[dict[str, str]]:
    """Task, languages, models and reason of what is not on the board: asked for and missing, or not asked for."""
    found: dict[tuple[str, str, str], dict[str, None]] = {}
    for entry in lines.board["missing"]:
        seed = "" if entry["seed"] is None else f", seed {entry['seed']}"
        arm = f"{entry['model']} + {entry['intermediate']}{seed}"
        found.setdefault((entry["task"], arm, entry["reason"]), {})[entry["lang"]] = None
    asked = {(entry["model"], entry["intermediate"], entry["task"], entry["lang"]) for entry in lines.board["missing"]}
    for entry in lines.board["task_scores"]:
        for lang in entry["missing_languages"]:
            if (entry["model"], entry["intermediate"], entry["task"], lang) not in asked:
                arm = f"{entry['model']} + {lines.label(entry)}"
                found.setdefault((entry["task"], arm, "was not asked for"), {})[lang] = None
    rows: dict[tuple[str, str, str], list[str]] = {}
    for (task, arm, reason), langs in found.items():
        rows.setdefault((task, ", ".join(language_name(lang) for lang in langs), reason), []).append(arm)
    return [
        {"task": task, "languages": langs, "reason": reason, "arms": "; ".join(arms)}
        for (task, langs, reason), arms in rows.items()
    ]
