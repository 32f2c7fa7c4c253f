"""The board on one screen, as a run prints it at its end: scores with n, lifts, what is not there, and where the rest is.

print(summary(board, Path("runs/x")))

`markdown.markdown(board)` prints all of it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.api.escaping import markdown_text, markdown_texts
from harness.api.protocols import Json
from harness.report.board.computing import ways_of_computing
from harness.report.board.legend import (
    GUESSING_MEANS,
    SYNTHETIC,
    chance_line,
    examples_line,
    lift_text,
    marks_legend,
    num_examples,
    numbers_legend,
    score_text,
    total_examples,
)
from harness.report.board.notes import note_list
from harness.report.board.number_format import GUESSING, NONE, NOTHING, arm_text, collected, language_list, listed, size
from harness.report.board.prose import wrapped
from harness.report.board.references import reference_sections
from harness.report.board.seeds import degenerate_counts, degenerate_notes
from harness.report.board.standings_section import rank_tables
from harness.report.board.table_rows import Lines, arm_key
from harness.report.board.tables import Column, in_blocks

BOARD_FILE, PAGE_FILE = "leaderboard.json", "report.html"
"What lies in a run folder beside the stages."
LEADERBOARD = "run_eval.py leaderboard"
SHOWN = 3
"Of a list of what failed or is missing so many are named."
LIFT = "Lift: score with the intermediate task minus score without it, paired."


def summary(board: Mapping[str, Json], root: Path, *, others: int = 0) -> str:
    """The page; `others` says how many requests in the folder are not on this board."""
    board = markdown_texts(board)
    lines = Lines(board)
    parts = ["# Leaderboard, in short", SYNTHETIC if board["synthetic"] else "", _about(lines)]
    for model in lines.models:
        parts += [_heading(board, model), _table(lines, model)]
    parts += reference_sections(board)
    ranks = rank_tables(lines)
    parts += ["## Ranks among the models", *ranks] if ranks else []
    parts += _lacking(board)
    parts += ["## Where the rest is", "\n".join(f"- {text}" for text in _places(board, root, others))]
    return wrapped("\n\n".join(part for part in parts if part) + "\n")


def _about(lines: Lines) -> str:
    """What the numbers are, in a list: scores and lifts, test examples, chance, marks, number format and device."""
    board = lines.board
    entries = [*board["task_scores"], *board["group_scores"]]
    guessing = any(entry["lift_at_guessing"] for entry in entries)
    marks = [marks_legend(board, notes=f"the notes of `{LEADERBOARD}`"), f"{GUESSING} {GUESSING_MEANS}." if guessing else ""]
    ways = collected((way, model) for model, way in ways_of_computing(board).items())
    texts = [
        numbers_legend(board) + (f" {LIFT}" if lines.lifted else ""),
        examples_line(board),
        chance_line(board),
        "Marks: " + " ".join(text for text in marks if text) if any(marks) else "",
        *(f"{listed(models)}: {way}." for way, models in ways.items()),
    ]
    return "\n".join(f"- {text}" for text in texts if text)


def _heading(board: Mapping[str, Json], model: str) -> str:
    known = size(board["models"].get(model))
    return f"## {model}" + ("" if known == NOTHING else f", {known} parameters")


def _table(lines: Lines, model: str) -> str:
    """A row for each task and group, a column for each intermediate setting, its lift beside it."""
    board = lines.board
    arms = [arm for arm in lines.arms if arm["model"] == model]
    tasks = [task for task in board["task_order"] if lines.of(model, task)]
    scored = {entry["group"] for entry in board["group_scores"] if entry["model"] == model and entry["score"]}
    groups = [name for name in board["groups"] if name in scored]
    columns = [_test_examples(board, model, tasks, groups)]
    for arm in arms:
        found = [lines.tasks.get((*arm_key(arm), task)) for task in tasks]
        found += [lines.groups.get((*arm_key(arm), name)) for name in groups]
        columns.append(Column(lines.label(arm), [score_text(entry) for entry in found]))
        if arm["intermediate"] != NONE:
            columns.append(Column("lift", [lift_text(entry) for entry in found], joined=True))
    return in_blocks([Column("task", [*tasks, *groups], left=True)], columns, blank=NOTHING)


def _test_examples(board: Mapping[str, Json], model: str, tasks: Sequence[str], groups: Sequence[str]) -> Column:
    """The column of the number of test examples over all languages."""
    found = [num_examples(board, task, model=model) for task in tasks]
    return Column("n", [*(total_examples(numbers) if numbers else NOTHING for numbers in found), *(NOTHING for _ in groups)])


def _lacking(board: Mapping[str, Json]) -> list[str]:
    """What has no score, what failed, and seeds that learnt nothing: how many, and the first of them."""
    missing, failed = len(board["missing"]), [f"{e['stage']}: {(e['error'].splitlines() or [''])[0]}" for e in board["failures"]]
    items = _first(f"{missing} of {missing + len(board['rows'])} cells have no score", _missing(board))
    items += _first(f"{len(failed)} stages failed" if len(failed) > 1 else "1 stage failed", failed)
    items += _first(degenerate_counts(board).rstrip("."), [note.removeprefix("Degenerate: ") for note in degenerate_notes(board)])
    return ["## Missing, failed or degenerate", "\n".join(items)] if items else []


def _missing(board: Mapping[str, Json]) -> list[str]:
    """The cells without a score by line and task, each with the first reason."""
    found: dict[tuple[str, str], list[Mapping[str, Json]]] = {}
    for entry in board["missing"]:
        found.setdefault((arm_text(entry), entry["task"]), []).append(entry)
    texts = []
    for (arm, task), entries in found.items():
        reasons = len({entry["reason"] for entry in entries})
        more = f" (the first of {reasons} reasons)" if reasons > 1 else ""
        texts.append(f"{arm}, {task} in {language_list(entry['lang'] for entry in entries)}: {entries[0]['reason']}{more}.")
    return texts


def _first(what: str, items: Sequence[str]) -> list[str]:
    """A count with the first of its items; nothing where there are none."""
    more = [f"  - and {len(items) - SHOWN} more"] if len(items) > SHOWN else []
    return [f"- {what}:", *(f"  - {item}" for item in items[:SHOWN]), *more] if items else []


def _places(board: Mapping[str, Json], root: Path, others: int) -> list[str]:
    """Where all of it is to be had."""
    notes = sum(line.startswith("- ") for part in note_list(board) for line in part.split("\n"))
    folder = markdown_text(str(root))
    more = "another request" if others == 1 else f"{others} more requests"
    beside = f" (with those of {more} in this folder)" if others else ""
    texts = [f"all languages, trainings and {notes} notes: `{LEADERBOARD} {folder}`{beside}"]
    texts.append(f"every number: {markdown_text(str(root / BOARD_FILE))}")
    if (root / PAGE_FILE).is_file():
        texts.append(f"to look at in a browser: {markdown_text(str(root / PAGE_FILE))}")
    return texts
