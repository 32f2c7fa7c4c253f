"""The rows of a finished prediction as its model was given them, where the data are still the same, and its prompts.

asked = asked_rows(args, folder, model="mini", rows=RowPlace(place=place, task_folders=catalog.task_folders()))
asked.examples, asked.why_not          # no examples where the rows have changed or are not here, and why
asked.sent(example)                    # the prompts, where the model was asked in words
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from harness.api.errors import UserError
from harness.api.protocols import SentPrompt
from harness.data.locations import DataPlace
from harness.planning.backbone.file_identity import chat_fingerprint
from harness.report.record.gather import Material
from harness.runtime.arguments import PredictArguments, SplitRows, file_of
from harness.runtime.machine import Machine
from harness.runtime.stages import Stage
from harness.specs.portable import Split

if TYPE_CHECKING:
    from harness.prediction.cell import Cell  # which loads what reads rows: most boards show none

CHANGED = "the rows have changed since they were predicted"
SHOTS_CHANGED = "the rows of the solved examples have changed since"


class ModelFiles(NamedTuple):
    """Where the tokenizer of a model lies."""

    path: str
    "Hub id or folder."
    revision: str | None


def model_files(material: Material) -> dict[str, ModelFiles]:
    """Model -> its files: a hub id as the run wrote it down, or the folder that its command named, where that is still there."""
    found = {name: ModelFiles(model.path, model.revision) for name, model in material.models.items() if model.path}
    for request in material.requests:
        folder = Path(str(request.get("model") or ""))
        if folder.name in found and folder.is_dir():
            found[folder.name] = ModelFiles(str(folder), None)
    return found


@dataclass(frozen=True, kw_only=True)
class RowPlace:
    """Where rows, and the tokenizers of chat templates, are looked for."""

    place: DataPlace
    task_folders: Mapping[str, Path] = field(default_factory=dict)
    "Task -> folder of its YAML file, beside which local files are looked for."
    models: Mapping[str, ModelFiles] = field(default_factory=dict)
    "By name on the board: see `model_files`."


@dataclass(kw_only=True)
class AskedRows:
    """The rows of a cell, and how its model was asked."""

    cell: Cell
    examples: Sequence[Any] = ()
    "Empty where they are not to be had."
    why_not: str = ""
    why_no_prompt: str = ""
    "Why prompts cannot be made again; empty where they can, and where the model was not asked in words."

    @property
    def in_words(self) -> bool:
        """Whether the model was asked in words."""
        return self.cell.args.prompt is not None

    def sent(self, example: Any) -> list[SentPrompt]:
        """The requests that an example became, before anything was cut; raises UserError for a row that gives no text."""
        found: list[SentPrompt] = self.cell.module.sent(example, task=self.cell.spec, tokenizer=self.cell.tokenizer)
        return found


def asked_rows(args: PredictArguments, folder: Path, *, model: str, rows: RowPlace) -> AskedRows:
    """The rows that a finished prediction was made of, if the data are the same; `model` is its name on the board."""
    from harness.prediction.cell import Cell

    machine = Machine(place=rows.place, device_name="cpu", progress=False, task_folders=rows.task_folders)
    cell = Cell(stage=Stage(label=folder.name, args=args), folder=folder, machine=machine, tokenizer=None)
    asked = AskedRows(cell=cell)
    try:
        if not _is_unchanged(args.rows, "test", rows):
            asked.why_not = CHANGED
            return asked
        asked.examples = cell.examples
    except UserError as error:
        asked.why_not = f"the rows cannot be read: {_in_a_line(error)}"
        return asked
    if asked.in_words:
        asked.why_no_prompt = _prepare_prompts(cell, model=model, rows=rows)
    return asked


def _is_unchanged(held: SplitRows, split: Split, rows: RowPlace) -> bool:
    """Whether the rows are those of the fingerprint."""
    from harness.data.examples import data_fingerprint

    spec = held.task_spec
    folder = rows.task_folders.get(file_of(spec.task))
    return all(
        data_fingerprint(spec, split=split, langs=[lang], place=rows.place, task_folder=folder) == fingerprint
        for lang, fingerprint in held.data.items()
    )


def _prepare_prompts(cell: Cell, *, model: str, rows: RowPlace) -> str:
    """Why prompts cannot be made as they were; empty, with the tokenizer in place, where they can."""
    try:
        shots = cell.args.shots
        if shots is not None and not _is_unchanged(shots, _split_of(shots), rows):
            return SHOTS_CHANGED
        if (cell.args.prompt or {}).get("chat_template"):
            cell.tokenizer = _chat_tokenizer(cell.args, rows.models.get(model))
        _ = cell.module
    except UserError as error:
        return _in_a_line(error)
    return ""


def _split_of(shots: SplitRows) -> Split:
    (split,) = shots.spec["data"]
    found: Split = split
    return found


def _chat_tokenizer(args: PredictArguments, files: ModelFiles | None) -> Any:
    """The tokenizer whose chat template the model was asked with; raises UserError where it is not to be had."""
    if files is None or args.model.tokenizer is not None or chat_fingerprint(files.path) != args.chat_format:
        raise UserError("the chat template that the model was asked with is not here any more")
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(files.path, revision=files.revision)
    except Exception as error:  # of whatever package reads the files
        raise UserError("its tokenizer cannot be loaded", where=files.path, found=" ".join(str(error).split())[:120]) from error


def _in_a_line(error: UserError) -> str:
    """What went wrong and what to do, without line breaks."""
    first = str(error).splitlines()[0]
    return f"{first} ({error.todo})" if error.todo else first
