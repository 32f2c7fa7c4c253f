"""Writes the predictions of a run as XTREME's submission files, and on request the gold beside them as its label files.

folders = DataFolders(place=place)
exported = export([Path("runs/x")], Path("submission"), wanted=Wanted(seed=1), folders=folders, gold=Path("labels"))
score_submission(Path("submission"), Path("labels"))       # the board's numbers

Predictions hold labels, tags and answers.  Where a file needs more (the order of Tatoeba's English sentences, the contexts of
question label files), the test rows are loaded again, and refused unless their fingerprint is that of the prediction.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from harness.api.errors import UserError, raise_all
from harness.data.examples import load_examples
from harness.data.locations import DataPlace
from harness.prediction.finishing import read_predictions
from harness.report.submission.files import json_text, lines_text, sentences_text, squad_content
from harness.report.submission.selection import PickedCell, PickedTask, Wanted, by_reason, choose
from harness.report.submission.xtreme_format import TASKS, OfficialTask
from harness.runtime.arguments import PredictArguments
from harness.runtime.stages import read_begun, write_text

Side = Literal["prediction", "gold"]


@dataclass(frozen=True, kw_only=True)
class DataFolders:
    """The folders in which test rows are looked for."""

    place: DataPlace
    task_folders: Mapping[str, Path] = field(default_factory=dict)
    "Task -> folder of its YAML file, beside which local files are looked for."


@dataclass(frozen=True, kw_only=True, slots=True)
class SubmissionExport:
    """The tasks and rows that were written, and notes on them."""

    tasks: Mapping[str, PickedTask]
    num_rows: Mapping[str, Mapping[str, int]]
    "Task -> language -> predictions; of mined pairs, those that are to be found."
    notes: tuple[str, ...]
    "What a reader must know of the files."


class PredictedRow(NamedTuple):
    """A prediction, with the example that it is about where the file needs it."""

    line: Mapping[str, Any]
    example: Any


def export(
    runs: Sequence[Path],
    output: Path,
    *,
    wanted: Wanted,
    folders: DataFolders,
    gold: Path | None = None,
    partial: bool = False,
) -> SubmissionExport:
    """Write `output` (and `gold`), which must be new or empty folders.

    Raises UserError with everything that is missing, ambiguous or does not fit, before anything is written.
    """
    _check_folders(output, gold)
    picked = choose(runs, wanted, partial=partial)
    roots: dict[Side, Path] = {"prediction": output} if gold is None else {"prediction": output, "gold": gold}
    texts: dict[Path, str] = {}
    num_rows: dict[str, dict[str, int]] = {name: {} for name in picked}
    errors: list[UserError] = []
    for name, task in picked.items():
        for lang, cell in task.cells.items():
            try:
                rows = _rows(task.task, cell, folders, with_gold=gold is not None)
                for side, root in roots.items():
                    texts[task.task.file(root, lang)] = _TEXT[task.task.kind](task.task, rows, side)
                num_rows[name][lang] = len(rows) if task.task.kind != "pairs" else sum(len(row.line["gold"]) for row in rows)
            except UserError as error:
                errors.append(error)
    raise_all(errors)
    for path, text in texts.items():
        write_text(path, text)
    return SubmissionExport(tasks=picked, num_rows=num_rows, notes=tuple(_notes(picked, num_rows)))


def _check_folders(output: Path, gold: Path | None) -> None:
    """Files of another export must not stay between those of this one."""
    errors = [
        UserError(f"{root} is not an empty folder", todo="give a new one, or remove what lies there")
        for root in (output, gold)
        if root is not None and root.exists() and (not root.is_dir() or any(root.iterdir()))
    ]
    one, other = output.resolve(), (gold or Path("/")).resolve()
    if gold is not None and (one == other or one in other.parents or other in one.parents):
        errors.append(
            UserError("predictions and gold need a folder each, none inside the other", where="--gold", found=str(gold))
        )
    raise_all(errors)


def _rows(task: OfficialTask, cell: PickedCell, folders: DataFolders, *, with_gold: bool) -> list[PredictedRow]:
    """The predictions of a cell in the order of its rows."""
    lines = list(read_predictions(cell.folder))
    if not (task.kind == "positions" or (task.kind == "answers" and with_gold)):
        return [PredictedRow(line, None) for line in lines]
    args = read_begun(cell.folder).args
    assert isinstance(args, PredictArguments), cell.folder
    spec, lang = args.task_spec, args.lang
    task_folder = folders.task_folders.get(spec.task)
    found = load_examples(spec, split="test", langs=[lang], place=folders.place, task_folder=task_folder)
    if found.fingerprint != args.data or [example.id for example in found.examples] != [line["id"] for line in lines]:
        raise UserError(
            "the test rows are not those that were predicted",
            where=f"task {spec.task}, language {lang}",
            expected=f"{args.data}, as in {cell.folder}",
            found=f"{found.fingerprint}, {len(found.examples)} rows from {found.origin}",
            todo="give the --data_dir of the run, or predict again",
        )
    return [PredictedRow(line, example) for line, example in zip(lines, found.examples, strict=True)]


def _labels(task: OfficialTask, rows: Sequence[PredictedRow], side: Side) -> str:
    """A label a line; an empty line, which is never right, where there is no prediction."""
    labels = ["" if row.line[side] is None else str(row.line[side]) for row in rows]
    _check_values(task, (label for label in labels if label))
    return lines_text(labels)


def _tags(task: OfficialTask, rows: Sequence[PredictedRow], side: Side) -> str:
    """A tag for every word of the gold; O, which names nothing, where there is no prediction."""
    sentences = [["O"] * len(row.line["gold"]) if row.line[side] is None else row.line[side] for row in rows]
    _check_values(task, (tag for sentence in sentences for tag in sentence if tag != "O"))
    return sentences_text(sentences)


def _positions(task: OfficialTask, rows: Sequence[PredictedRow], side: Side) -> str:
    """For each English sentence, in alphabetical order, the place of the foreign sentence found.

    XTREME sorts the English file by code points, stably, and leaves the foreign file as it is, so that the answer to line k of
    the sorted file is a line number of the unsorted one.
    """
    places = {row.example.id: str(number) for number, row in enumerate(rows)}
    in_order = sorted(rows, key=lambda row: row.example.target)
    return lines_text(["" if row.line[side] is None else places[row.line[side]] for row in in_order])


def _answers(task: OfficialTask, rows: Sequence[PredictedRow], side: Side) -> str:
    """{id: text} of what was answered, or the questions with their paragraphs in SQuAD's shape."""
    if side == "prediction":
        return json_text({row.line["id"]: row.line[side] for row in rows if row.line[side] is not None})
    paragraphs: list[tuple[str, list[dict[str, Any]]]] = []
    for row in rows:
        if not paragraphs or paragraphs[-1][0] != row.example.context:
            paragraphs.append((row.example.context, []))
        starts = row.example.answer_starts or (-1,) * len(row.line["gold"])
        answers = [{"text": text, "answer_start": start} for text, start in zip(row.line["gold"], starts, strict=True)]
        paragraphs[-1][1].append({"id": row.line["id"], "question": row.example.question, "answers": answers})
    return json_text(squad_content(paragraphs))


def _pairs(task: OfficialTask, rows: Sequence[PredictedRow], side: Side) -> str:
    """The pairs of all predictions; how they are shared out among these means nothing here."""
    return lines_text([pair for row in rows for pair in row.line[side] or ()])


def _check_values(task: OfficialTask, values: Any) -> None:
    unknown = sorted(set(values) - set(task.values))
    if unknown:
        found = ", ".join(unknown[:10])
        raise UserError(f"labels that XTREME's {task.name} does not have", expected=", ".join(task.values), found=found)


_TEXT: Mapping[str, Callable[[OfficialTask, Sequence[PredictedRow], Side], str]] = {
    "labels": _labels,
    "tags": _tags,
    "positions": _positions,
    "answers": _answers,
    "pairs": _pairs,
}


def _notes(picked: Mapping[str, PickedTask], num_rows: Mapping[str, Mapping[str, int]]) -> list[str]:
    """What was left out, and what the official evaluation of these files would stumble over."""
    notes = []
    for name, task in picked.items():
        if task.missing:
            notes.append(
                f"{name}: {len(task.missing)} of {len(task.task.languages)} languages left out: {by_reason(task.missing)}"
            )
        official = task.task.num_rows
        other = {lang: n for lang, n in num_rows[name].items() if n != official.get(lang, n)}
        if other:
            counts = ", ".join(f"{lang} {n:,} (XTREME: {official[lang]:,})" for lang, n in other.items())
            by_id = task.task.kind == "answers"
            what = "what has no answer here scores 0 there" if by_id else "its label files do not fit these files"
            notes.append(f"{name}: not the whole of XTREME's test set ({what}): {counts}")
        if task.source != name:
            notes.append(f"{name} is filled by the task {task.source}, whose rows need not be XTREME's")
    absent = [name for name in TASKS if name not in picked]
    return [*notes, *([f"left out, and no overall score without them: {', '.join(absent)}"] if absent else [])]
