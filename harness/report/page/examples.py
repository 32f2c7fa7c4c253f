"""Some answers of each cell with their gold answers, texts and prompts, for `--examples N`: what the command `errors` shows.

shown = prediction_examples(board, material, [Path("runs/x")], count=3, rows=RowPlace(place=place))
shown.numbers["predict/..."], shown.entries[0]["items"]

Which examples: those with the smallest hashes of their ids, right or wrong, so that models, settings and parallel languages show
the same ones.  Where the rows are not to be had, or have changed since, the page says why.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.api.errors import UserError
from harness.api.protocols import Json
from harness.report.answers.answers import AnswerChoice, AnswerEntry, cell_answers
from harness.report.answers.asked_rows import RowPlace
from harness.report.record.gather import CellRecord, Material

SEED = 0
"Of the draw of examples."
_LONGEST = 1_200
"Characters of a text that are shown."
_SEPARATOR = " · "


@dataclass(kw_only=True)
class ShownExamples:
    """What is shown of the predictions of some stages."""

    numbers: dict[str, int] = field(default_factory=dict)
    "Predict stage -> its entry."
    entries: list[dict[str, Any]] = field(default_factory=list)
    "{items: [{id, gold, prediction, right, texts, prompts, notes}], why: why there are no texts or prompts}."


def prediction_examples(
    board: Mapping[str, Json], material: Material, folders: Sequence[Path], *, count: int, rows: RowPlace
) -> ShownExamples:
    """At most `count` answers of every predict stage of a board; `material` is what the board was made of."""
    found = ShownExamples()
    shown = {row["stages"]["predict"] for row in board["rows"]}
    for cell in material.cells:
        if count < 1 or cell.folder is None or cell.predict not in shown or cell.predict in found.numbers:
            continue
        found.numbers[str(cell.predict)] = len(found.entries)
        found.entries.append(_entry(cell, material, folders, count=count, rows=rows))
    return found


def _entry(cell: CellRecord, material: Material, folders: Sequence[Path], *, count: int, rows: RowPlace) -> dict[str, Any]:
    choice = AnswerChoice(which="all", number=count, draw=SEED)
    try:
        found = cell_answers(cell, task=material.tasks[cell.key.task], roots=folders, rows=rows, choice=choice)
    except UserError as error:
        return {"items": [], "why": f"the predictions cannot be read: {error.message}"}
    return {"items": [_item(one) for one in found.entries], **({"why": found.note} if found.note else {})}


def _item(entry: AnswerEntry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "texts": {name: _cut(text) for name, text in entry.fields.items()},
        "prompts": [_cut(prompt) for prompt in entry.prompts],
        "gold": _cut(_SEPARATOR.join(entry.gold)),
        "prediction": _cut(_SEPARATOR.join(entry.prediction)),
        "right": entry.is_right,
        "notes": [*entry.differences, *entry.notes],
    }


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
