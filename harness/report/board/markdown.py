"""The board as Markdown for the terminal: scores, lifts, transfer gaps, languages, training, and what to know about them.

print(markdown(build_board([Path("runs/x")])))
print(markdown(board, by=["family", "covered"]))        # with means over families and over (not) covered languages
"""

from collections.abc import Mapping, Sequence

from harness.api.escaping import markdown_texts
from harness.api.protocols import Json
from harness.data.languages import in_order
from harness.report.board.intermediates import intermediate_section
from harness.report.board.language_groups import language_group_sections
from harness.report.board.legend import (
    SYNTHETIC,
    examples_line,
    legend,
    lift_legend,
    lift_text,
    num_examples,
    score_text,
    span_text,
)
from harness.report.board.notes import note_list, training_table
from harness.report.board.number_format import (
    GUESSING,
    NONE,
    NOTHING,
    STAND_IN,
    UNREAD,
    bracketed,
    marks,
    unread,
)
from harness.report.board.older_results import older_section
from harness.report.board.prose import wrapped
from harness.report.board.references import published_languages, reference_sections
from harness.report.board.seeds import seed_section
from harness.report.board.standings_section import standings_section
from harness.report.board.table_rows import Lines
from harness.report.board.tables import Column, folded

GAP = "English minus the mean of the other languages; lower is better."


def markdown(board: Mapping[str, Json], *, by: Sequence[str] = (), older: bool = False) -> str:
    """The whole page; lines fit 100 columns, tables of many columns are split.

    `by` names groupings of languages (family, script, word_order, covered) to show the means of; `older` also shows the scores
    of older requests, in whose place others stand.
    """
    board = markdown_texts(board)
    lines = Lines(board)
    parts = ["# Leaderboard"]
    if board["synthetic"]:
        parts.append(SYNTHETIC)
    parts += ["## Scores", legend(board), examples_line(board), lines.table(score_text, groups=True)]
    parts += reference_sections(board)
    parts += standings_section(lines)
    if lines.lifted:
        parts += ["## Lift", lift_legend(board), lines.table(lift_text, groups=True, arms=lines.lifted)]
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
    return wrapped("\n\n".join(part for part in parts if part) + "\n")


def _gap_text(entry: Mapping[str, Json] | None) -> str:
    if entry is None or entry["transfer_gap"] is None:
        return NOTHING
    return marks(entry) + bracketed(entry["transfer_gap"])


def _languages(lines: Lines, task: str) -> list[str]:
    """The table of each backbone's languages: one column for each intermediate setting, its lift beside it."""
    parts: list[str] = []
    for model in lines.models:
        entries = lines.of(model, task)
        known = {lang for entry in entries for lang in entry["languages"]}
        names = in_order(known)
        if not names:
            continue
        examples = num_examples(lines.board, task, model=model)
        columns = [Column("lang", names, left=True)]
        if len(set(examples.values())) > 1:
            columns.append(Column("n", [span_text(*examples[name]) if name in examples else NOTHING for name in names]))
        for entry in entries:
            found = [entry["languages"].get(name) for name in names]
            label = lines.label(entry)
            columns.append(Column(label, [_language_text(numbers) for numbers in found]))
            if entry["intermediate"] != NONE:
                columns.append(Column("lift", [_language_lift(numbers) for numbers in found], joined=True))
        mark = STAND_IN if lines.board["tasks"][task]["stands_in_for"] else ""
        parts += [f"### {mark}{task}: {model}", _each(examples), *_metric_lines(lines, entries), folded(columns)]
    return parts


def _each(examples: Mapping[str, tuple[int, int]]) -> str:
    """How many test examples there are of every language, where these are as many."""
    own = set(examples.values())
    return f"{span_text(*own.pop())} test examples in each language." if len(own) == 1 else "n: test examples." if own else ""


def _language_text(numbers: Mapping[str, Json] | None) -> str:
    if numbers is None:
        return NOTHING
    return (UNREAD if unread(numbers) else "") + bracketed(numbers["score"])


def _language_lift(numbers: Mapping[str, Json] | None) -> str:
    if numbers is None or not numbers["lift"]:
        return NOTHING
    return (GUESSING if numbers["lift_at_guessing"] else "") + bracketed(numbers["lift"], sign="+")


def _metric_lines(lines: Lines, entries: Sequence[Mapping[str, Json]]) -> list[str]:
    """Means of all metrics where a task has more than the one that is its score."""
    texts = [
        f"{lines.label(entry)}: " + ", ".join(f"{key} {value:.1f}" for key, value in entry["metrics"].items())
        for entry in entries
        if len(entry["metrics"]) > 1
    ]
    return ["Means of its metrics: " + "; ".join(texts) + "."] if texts else []
