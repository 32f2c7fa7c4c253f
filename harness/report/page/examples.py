"""Some predictions of each cell with their gold answers and the texts they are about, for `--examples N`.

shown = prediction_examples(board, [Path("runs/x")], count=3, place=place, task_folders=catalog.task_folders())
shown.numbers["predict/..."], shown.entries[0]["items"]

Which examples: those with the smallest hashes of their ids, so that models, settings and parallel languages show the same ones.
Texts are read from the task's data again; where these are not to be had, or have changed since, the page says why.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.api.errors import UserError
from harness.api.json_text import parse_json
from harness.api.protocols import Json
from harness.data.examples import load_examples, sample_ids
from harness.data.locations import DataPlace
from harness.runtime.arguments import PredictArguments
from harness.runtime.stages import canonical, read_begun

PREDICTIONS_FILE = "predictions.jsonl"
_LONGEST = 1_200
"Characters of a text that are shown."
_NO_TEXTS = ("id", "lang", "gold")
"Fields of an example that are no text of it."


@dataclass(kw_only=True)
class ShownExamples:
    """What is shown of the predictions of some stages."""

    numbers: dict[str, int] = field(default_factory=dict)
    "Predict stage -> its entry."
    entries: list[dict[str, Any]] = field(default_factory=list)
    "{items: [{id, gold, prediction, right, texts, notes}], why: why there are no texts}."


def prediction_examples(
    board: Mapping[str, Json], folders: Sequence[Path], *, count: int, place: DataPlace, task_folders: Mapping[str, Path]
) -> ShownExamples:
    """At most `count` predictions of every predict stage of a board."""
    found, texts = ShownExamples(), _Texts(place, task_folders)
    for row in board["rows"]:
        name = row["stages"]["predict"]
        folder = next((root / name for root in folders if (root / name / PREDICTIONS_FILE).is_file()), None)
        if count < 1 or name in found.numbers or folder is None:
            continue
        found.numbers[name] = len(found.entries)
        found.entries.append(_entry(folder, count, texts))
    return found


def _entry(folder: Path, count: int, texts: "_Texts") -> dict[str, Any]:
    try:
        records = list(_records(folder / PREDICTIONS_FILE))
        args = read_begun(folder).args
    except UserError as error:
        return {"items": [], "why": f"the predictions cannot be read: {error.message}"}
    chosen = [records[at] for at in sample_ids([str(one["id"]) for one in records], count)]
    known, why = texts.of(args) if isinstance(args, PredictArguments) else ({}, "these are no predictions")
    return {"items": [_item(one, known) for one in chosen], **({"why": why} if why else {})}


def _records(path: Path) -> Iterator[Mapping[str, Any]]:
    """The lines of a file of predictions; raises UserError for what is none."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError("cannot be read", where=str(path), found=str(error)) from error
    for line in lines:
        record = parse_json(line, where=str(path))
        if not isinstance(record, dict) or "id" not in record or not isinstance(record.get("notes", []), list):
            raise UserError("not a prediction", where=str(path), expected="an object with an id, and a list of notes")
        yield record


def _item(record: Mapping[str, Any], texts: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    gold, prediction = record.get("gold"), record.get("prediction")
    is_right = prediction == gold or (isinstance(gold, list) and prediction in gold)
    return {
        "id": str(record["id"]),
        "texts": texts.get(str(record["id"]), {}),
        "gold": _shown(gold),
        "prediction": _shown(prediction),
        "right": bool(is_right),
        "notes": [str(note) for note in record.get("notes", ())],
    }


class _Texts:
    """The texts of tasks' test rows by id, each task and language read once."""

    def __init__(self, place: DataPlace, task_folders: Mapping[str, Path]) -> None:
        self._place, self._folders = place, task_folders
        self._known: dict[str, tuple[dict[str, dict[str, str]], str]] = {}

    def of(self, args: PredictArguments) -> tuple[dict[str, dict[str, str]], str]:
        """Id -> field -> text, and why there are none."""
        key = canonical([args.task, args.lang, dict(args.spec)])
        if key not in self._known:
            try:
                self._known[key] = self._read(args), ""
            except UserError as error:
                self._known[key] = {}, f"texts are not shown: {error.message}"
        return self._known[key]

    def _read(self, args: PredictArguments) -> dict[str, dict[str, str]]:
        folder = self._folders.get(args.task)  # None: a task of a folder that this command was not told
        read = load_examples(args.task_spec, split="test", langs=[args.lang], place=self._place, task_folder=folder)
        if read.fingerprint != args.data:
            raise UserError("the data are no longer those that were predicted")
        return {example.id: _fields(example) for example in read.examples}


def _fields(example: Any) -> dict[str, str]:
    """The fields of an example that hold text."""
    values = {one.name: getattr(example, one.name) for one in dataclasses.fields(example) if one.name not in _NO_TEXTS}
    return {name: _shown(value) for name, value in values.items() if value and _is_text(value)}


def _is_text(value: Any) -> bool:
    return isinstance(value, str | Mapping) or (isinstance(value, tuple | list) and all(isinstance(each, str) for each in value))


def _shown(value: Any) -> str:
    """A value as text: words of a list side by side, anything else as it is written."""
    if isinstance(value, list | tuple) and _is_text(value):
        text = " · ".join(value)
    else:
        text = value if isinstance(value, str) else canonical(value) if isinstance(value, dict | list) else str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
