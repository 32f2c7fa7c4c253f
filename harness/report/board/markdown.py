"""The board as Markdown for the terminal: scores, lifts, transfer gaps, languages, training, and what to know about them.

print(markdown(build_board([Path("runs/x")])))
print(markdown(board, by=["family", "covered"]))        # with means over families and over (not) covered languages
"""

from collections.abc import Mapping, Sequence

from harness.api.escaping import markdown_texts
from harness.api.protocols import Json
from harness.report.board.intermediates import intermediate_section
from harness.report.board.language_groups import language_group_sections
from harness.report.board.notes import note_list, training_table
from harness.report.board.number_format import (
    GUESSING,
    INCOMPLETE,
    NONE,
    NOTHING,
    PARTIAL,
    SAME,
    STAND_IN,
    UNREAD,
    UNREAD_SHARE,
    bracketed,
    marks,
    plus_minus,
    unread,
)
from harness.report.board.older_results import older_section
from harness.report.board.references import published_languages, reference_sections
from harness.report.board.seeds import has_many_seeds, seed_section
from harness.report.board.standings_section import standings_section
from harness.report.board.table_rows import Lines
from harness.report.board.tables import Column, folded

SYNTHETIC = (
    "> **Synthetic world.** These scores are of languages made up by this project: for learning the tool and testing a set-up, "
    "not for claims about models."
)
LIFT = (
    "Score with the intermediate task minus score without it: same backbone, target, languages, recipe and seeds; "
    "the paired interval in brackets."
)
STAND_IN_MEANS = "not the metric that the task's file names first, which is not computed here (see the notes)"
GUESSING_MEANS = "a side of it has learnt nothing: its score cannot be told from guessing, or its training says so"
GAP = "English minus the mean of the other languages; lower is better."


def markdown(board: Mapping[str, Json], *, by: Sequence[str] = (), older: bool = False) -> str:
    """The whole page; lines fit 160 columns, tables of many columns are split.

    `by` names groupings of languages (family, script, word_order, covered) to show the means of; `older` also shows the scores
    of older requests, in whose place others stand.
    """
    board = markdown_texts(board)
    lines = Lines(board)
    parts = ["# Leaderboard"]
    if board["synthetic"]:
        parts.append(SYNTHETIC)
    parts += ["## Scores", board_legend(board), lines.table(_score_text, groups=True)]
    parts += reference_sections(board)
    parts += standings_section(lines)
    if lines.lifted:
        at_guessing = any(numbers["lift_at_guessing"] for e in board["task_scores"] for numbers in (e, *e["languages"].values()))
        parts += [
            "## Lift",
            LIFT + (f" {GUESSING} {GUESSING_MEANS}." if at_guessing else ""),
            lines.table(_lift_text, groups=True, arms=lines.lifted),
        ]
        parts += intermediate_section(lines)
    if any(entry["transfer_gap"] for entry in board["task_scores"]):
        parts += ["## Transfer gap", GAP, lines.table(_gap_text, groups=False)]
    parts += seed_section(lines)
    parts += language_group_sections(lines, by)
    parts.append("## Languages")
    for task in board["task_order"]:
        parts += [*_languages(lines, task), *published_languages(board, task)]
    parts += training_table(board)
    parts += older_section(board) if older else []
    parts += note_list(board)
    return "\n\n".join(parts) + "\n"


def board_legend(board: Mapping[str, Json]) -> str:
    """The legend: the meaning of the numbers and of the marks that are used."""
    level = round(board["bootstrap"]["level"] * 100)
    chances = ", ".join(
        f"{task} {board['tasks'][task]['chance']:.3g}" for task in board["task_order"] if board["tasks"][task]["chance"]
    )
    used = [
        (
            SAME,
            "the intermediate setting trains on the target's own training data",
            any(e["same_task"] for e in board["task_scores"]),
        ),
        (PARTIAL, "a sample of the test rows (--limit)", any(e["partial"] for e in board["task_scores"])),
        (INCOMPLETE, "languages or seeds are missing", not all(e["complete"] for e in board["task_scores"])),
        (
            UNREAD,
            f"over {UNREAD_SHARE * 100:.0f} % of a language's text did not reach the model (see the notes)",
            any(unread(numbers) for e in board["task_scores"] for numbers in e["languages"].values()),
        ),
        (STAND_IN, STAND_IN_MEANS, any(e["stands_in_for"] for e in board["task_scores"])),
    ]
    text = f"Mean over languages, 0 to 100, ± half of the {level} % interval over test examples."
    text += " Several training seeds: their mean, with their standard deviation as sd." if has_many_seeds(board) else ""
    text += f" Chance: {chances}." if chances else ""
    return text + "".join(f" {mark} {meaning}." for mark, meaning, is_used in used if is_used)


def _score_text(entry: Mapping[str, Json] | None) -> str:
    if entry is None or entry["score"] is None:
        return NOTHING
    sd = entry["over_seeds"]["sd"] if entry["over_seeds"] else None
    return f"{marks(entry)}{plus_minus(entry['score'])}" + (f" sd {sd:.1f}" if sd is not None else "")


def _lift_text(entry: Mapping[str, Json] | None) -> str:
    if entry is None or entry["lift"] is None:
        return NOTHING
    short = INCOMPLETE if entry.get("lift_missing") and entry.get("complete", True) else ""
    return f"{marks(entry)}{short}{GUESSING if entry['lift_at_guessing'] else ''}{bracketed(entry['lift'])}"


def _gap_text(entry: Mapping[str, Json] | None) -> str:
    if entry is None or entry["transfer_gap"] is None:
        return NOTHING
    return marks(entry) + plus_minus(entry["transfer_gap"])


def _languages(lines: Lines, task: str) -> list[str]:
    """The table of each backbone's languages: one column for each intermediate setting, its lift beside it."""
    parts: list[str] = []
    for model in lines.models:
        entries = lines.of(model, task)
        known = {lang for entry in entries for lang in entry["languages"]}
        by_place = sorted(lines.board["tasks"][task]["languages"], key=lambda lang: lang != "en")
        names = [*(lang for lang in by_place if lang in known), *sorted(known - set(by_place))]
        if not names:
            continue
        columns = [Column("lang", names, left=True)]
        for entry in entries:
            found = [entry["languages"].get(name) for name in names]
            label = lines.label(entry)
            columns.append(Column(label, [_language_text(numbers) for numbers in found]))
            if entry["intermediate"] != NONE:
                columns.append(Column("lift", [_language_lift(numbers) for numbers in found], joined=True))
        mark = STAND_IN if lines.board["tasks"][task]["stands_in_for"] else ""
        parts += [f"### {mark}{task}: {model}", *_metric_lines(lines, entries), folded(columns)]
    return parts


def _language_text(numbers: Mapping[str, Json] | None) -> str:
    if numbers is None:
        return NOTHING
    return (UNREAD if unread(numbers) else "") + plus_minus(numbers["score"])


def _language_lift(numbers: Mapping[str, Json] | None) -> str:
    if numbers is None or not numbers["lift"]:
        return NOTHING
    return (GUESSING if numbers["lift_at_guessing"] else "") + plus_minus(numbers["lift"], sign="+")


def _metric_lines(lines: Lines, entries: Sequence[Mapping[str, Json]]) -> list[str]:
    """Means of all metrics where a task has more than the one that is its score."""
    texts = [
        f"{lines.label(entry)}: " + ", ".join(f"{key} {value:.1f}" for key, value in entry["metrics"].items())
        for entry in entries
        if len(entry["metrics"]) > 1
    ]
    return ["Means of its metrics: " + "; ".join(texts) + "."] if texts else []
