"""What the numbers and marks of the printed board mean, and the cells in which they stand.

legend(board)                # 'Mean over languages, 0 to 100; in brackets, here and below, the 95 % interval ...'
examples_line(board)         # 'Test examples: xnli 75,150 in 15 languages.'
"""

from collections.abc import Mapping

from harness.api.protocols import Json
from harness.data.languages import in_order
from harness.report.board.number_format import (
    GUESSING,
    INCOMPLETE,
    NOTHING,
    PARTIAL,
    SAME,
    STAND_IN,
    UNREAD,
    UNREAD_SHARE,
    bracketed,
    marks,
    unread,
)
from harness.report.board.seeds import has_many_seeds
from harness.specs.limit import limit_order, limit_words

SYNTHETIC = (
    "> **Synthetic world.** These scores are of languages made up by this project: for learning the tool and testing a set-up, "
    "not for claims about models."
)
LIFT = (
    "Score with the intermediate task minus score without it: same backbone, target, languages, recipe and seeds; "
    "intervals are paired."
)
GUESSING_MEANS = "a side of it has learnt nothing: its score cannot be told from guessing, or its training says so"


def legend(board: Mapping[str, Json]) -> str:
    """The legend: the meaning of the numbers and of the marks that are used."""
    return " ".join(text for text in (numbers_legend(board), chance_line(board), marks_legend(board, notes="the notes")) if text)


def numbers_legend(board: Mapping[str, Json]) -> str:
    """What a score and its interval are."""
    level = round(board["bootstrap"]["level"] * 100)
    text = f"Mean over languages, 0 to 100; in brackets, here and below, the {level} % interval over test examples."
    return text + (" Several training seeds: their mean, with their standard deviation as sd." if has_many_seeds(board) else "")


def chance_line(board: Mapping[str, Json]) -> str:
    """What guessing scores."""
    chances = {task: board["tasks"][task]["chance"] for task in board["task_order"]}
    texts = [f"{task} {chance:.3g}" for task, chance in chances.items() if chance]
    return f"Chance: {', '.join(texts)}." if texts else ""


def marks_legend(board: Mapping[str, Json], *, notes: str) -> str:
    """The marks that are used; `notes` says where more of them is told."""
    entries = board["task_scores"]
    limits = sorted({entry["limit"] for entry in entries if entry["partial"]}, key=limit_order)
    used = [
        (SAME, "the intermediate setting trains on the target's own training data", any(e["same_task"] for e in entries)),
        (PARTIAL, f"a part of the test rows ({'; '.join(map(limit_words, limits))})", bool(limits)),
        (INCOMPLETE, "languages or seeds are missing", not all(e["complete"] for e in entries)),
        (
            UNREAD,
            f"over {UNREAD_SHARE * 100:.0f} % of a language's text did not reach the model (see {notes})",
            any(unread(numbers) for e in entries for numbers in e["languages"].values()),
        ),
        (
            STAND_IN,
            f"not the metric that the task's file names first, which is not computed here (see {notes})",
            any(e["stands_in_for"] for e in entries),
        ),
    ]
    return " ".join(f"{mark} {meaning}." for mark, meaning, is_used in used if is_used)


def lift_legend(board: Mapping[str, Json]) -> str:
    """What a lift is, and the mark of those that say nothing."""
    entries = board["task_scores"]
    at_guessing = any(numbers["lift_at_guessing"] for e in entries for numbers in (e, *e["languages"].values()))
    return LIFT + (f" {GUESSING} {GUESSING_MEANS}." if at_guessing else "")


def num_examples(board: Mapping[str, Json], task: str, *, model: str = "") -> dict[str, tuple[int, int]]:
    """Language -> the fewest and the most test examples of its cells of a task, of one model or of all."""
    found: dict[str, list[int]] = {}
    for row in board["rows"]:
        if row["task"] == task and model in ("", row["model"]):
            found.setdefault(row["lang"], []).append(row["counts"]["examples"])
    return {lang: (min(found[lang]), max(found[lang])) for lang in in_order(found)}


def total_examples(numbers: Mapping[str, tuple[int, int]]) -> str:
    """The sum over languages."""
    return span_text(sum(low for low, _ in numbers.values()), sum(high for _, high in numbers.values()))


def span_text(low: int, high: int) -> str:
    """A number, or the fewest and the most."""
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def examples_line(board: Mapping[str, Json]) -> str:
    """How many test examples each task has, over its languages that have a score."""
    found = {task: num_examples(board, task) for task in board["task_order"]}
    texts = [
        f"{task} {total_examples(numbers)} in {num_languages(board, task, len(numbers))}"
        for task, numbers in found.items()
        if numbers
    ]
    return f"Test examples: {', '.join(texts)}." if texts else ""


def num_languages(board: Mapping[str, Json], task: str, number: int) -> str:
    """How many languages of a task have a score, and of how many where that is not all."""
    total = len(board["tasks"][task]["languages"])
    return (f"{number} of {total}" if number < total else str(number)) + (" language" if total == 1 else " languages")


def score_text(entry: Mapping[str, Json] | None) -> str:
    """The cell of a score."""
    if entry is None or entry["score"] is None:
        return NOTHING
    sd = entry["over_seeds"]["sd"] if entry["over_seeds"] else None
    return f"{marks(entry)}{bracketed(entry['score'])}" + (f" sd {sd:.1f}" if sd is not None else "")


def lift_text(entry: Mapping[str, Json] | None) -> str:
    """The cell of a lift."""
    if entry is None or entry["lift"] is None:
        return NOTHING
    short = INCOMPLETE if entry.get("lift_missing") and entry.get("complete", True) else ""
    return f"{marks(entry)}{short}{GUESSING if entry['lift_at_guessing'] else ''}{bracketed(entry['lift'], sign='+')}"
