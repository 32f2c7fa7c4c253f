"""What a run leaves beside its stages: `requests/<hash>.json`, the cells it asked for and what they are about.

write_record(RequestFile(schema_=1, models={...}, tasks={...}, cells=(...)), Path("runs/x/requests/0f3a.json"))
request = read_request(Path("runs/x/requests/0f3a.json"))
request.cells[0].score        # 'score/xnli-de-0123456789', a folder below runs/x
"""

from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from harness.api.errors import UserError, raise_all
from harness.api.json_text import read_json_file
from harness.runtime.stages import write_json
from harness.specs.language import LanguageSpec
from harness.specs.limit import Limit
from harness.specs.model import Spec

SCHEMA: Literal[1] = 1


class RequestedCoverage(Spec):
    """Languages of a backbone's pretraining."""

    languages: tuple[str, ...]
    "Those of the language table."
    source: str
    "Where they are listed."
    evidence: str
    "How they are known: R, C, D, I or M+."


class RequestedModel(Spec):
    """A backbone of the run."""

    path: str | None = None
    "Hub id or local folder; None for a model without weights of its own."
    preset: str | None = None
    "Name of its preset."
    revision: str | None = None
    "Commit on the hub."
    adapter: str
    "Module of models/."
    family: str = ""
    "Ladder of sizes that it belongs to; empty = a ladder of one."
    coverage: RequestedCoverage | None = None
    "What its pretraining held; None = not recorded."
    fingerprint: str | None = None
    "What identifies the weights."
    parameters: int | None = None
    "Total parameters."
    non_embedding_parameters: int | None = None
    "Parameters without embeddings."
    layers: int | None = None
    "Layers."
    hidden_size: int | None = None
    "Width."
    licence: str | None = None
    "Licence of the weights."
    dtype: str | None = None
    "Number format asked for."
    quantization: str = ""
    "How its weights are held in few bits, e.g. `gguf Q4_K_M`; empty = they are not."
    adapter_on: str = ""
    "The model that an adapter of peft was trained on, where --model names one."
    weight_bytes: int | None = None
    "What its weights take on the disk."
    pitfalls: tuple[str, ...] = ()
    "What goes wrong with it."


class RequestedTask(Spec):
    """A target task of the run."""

    type: str
    "Task type."
    version: int
    "Version of the task."
    description: str = ""
    "One or two sentences."
    languages: tuple[str, ...]
    "All test languages of the task, asked for or not."
    score: tuple[str, ...]
    "The score is the mean of these `metric.key` values."
    chance: float = 0.0
    "Score of guessing."
    notes: tuple[str, ...] = ()
    "What a reader of a score must know."
    same_task: tuple[str, ...] = ()
    "Intermediate tasks that are its own training data."
    stands_in_for: str = ""
    "The metric that the task's file names first, where it has no number here and the score is of another."
    trained: bool = True
    "Whether it has a target phase."


class RequestedGroup(Spec):
    """A group of tasks."""

    members: tuple[str, ...]
    "Tasks and groups, as named."
    tasks: tuple[str, ...]
    "All tasks below it."
    aggregate: Literal["mean_of_tasks", "mean_of_members", "mean_by_size", "none"] = "mean_of_tasks"
    "How its number is made."


class RequestedCell(Spec):
    """One score that the run asked for, and the stages that lead to it."""

    model: str
    "Key of `models`."
    intermediate: str
    "Intermediate task, or `none`."
    task: str
    "Key of `tasks`."
    lang: str
    "Test language."
    seed: int | None = None
    "Training seed, or that of what is drawn for prompts; None where neither is."
    route: str
    "head | embedding | prompt with how it was asked; then the engine, where it is not transformers."
    recipe: str | None = None
    "Recipe of its training."
    same_task: bool = False
    "The intermediate task is the target's own training data."
    limit: Limit | None = None
    "Which test rows of a language were taken (harness/specs/limit.py); None = all."
    score: str | None = None
    "Name of the score stage; None if the cell is blocked."
    predict: str | None = None
    "Name of the predict stage; None if the cell is blocked."
    blocked: str = ""
    "Why it can have no score."
    train: tuple[str, ...] = ()
    "Names of the train stages, intermediate first; empty where nothing is trained."
    synthetic: bool = False
    "The test rows come from the generated world."


class Overlap(Spec):
    """Rows that occur in training or selection data and in test data."""

    train: str
    "Training data."
    test: str
    "Test data."
    lang: str
    "Test language."
    n: int
    "Rows of the test data concerned."


class Failure(Spec):
    """A stage that failed."""

    stage: str
    "Name of the stage."
    error: str
    "Message."


class Replaced(Spec):
    """A training seed that learnt nothing and for which another stands on the board."""

    model: str
    "Key of `models`."
    intermediate: str
    "Intermediate setting, or `none`."
    task: str | None = None
    "Key of `tasks`; None where the intermediate phase itself was degenerate, whatever the target."
    recipe: str | None = None
    "Recipe of its training."
    seed: int
    "The degenerate seed."
    by: int | None = None
    "The seed in its place; None if none of those tried was better."
    stage: str = ""
    "Name of the degenerate train stage."
    why: str = ""
    "What shows that it learnt nothing."


class RequestFile(Spec):
    """The whole file."""

    schema_: Literal[1]
    "Version of this shape (written `schema`)."
    date: str = ""
    "When the command was given (ISO 8601, UTC); the same command again leaves it, unless another came between."
    data_dir: str | None = None
    "Where it looked for data, so that later commands in the folder need not be told; part of no key."
    request: dict[str, Any] = {}
    "Normalised arguments of the command line."
    models: dict[str, RequestedModel]
    "By name on the command line."
    tasks: dict[str, RequestedTask]
    "By name."
    groups: dict[str, RequestedGroup] = {}
    "By name."
    languages: dict[str, LanguageSpec] = {}
    "Languages of its tasks that the shipped table lacks, as the user told of them: later commands group by them."
    cells: tuple[RequestedCell, ...]
    "Everything asked for, done or not."
    backbone: tuple[str, ...] = ()
    "Names of the stages that make the backbone, where the run makes it."
    rests_on: tuple[str, ...] = ()
    "Names of further stages that a study rests on: trials that chose its learning rates, retrieval at other layers."
    overlaps: tuple[Overlap, ...] = ()
    "Found between training and test data."
    declared: dict[str, str] = {}
    "Intermediate -> what unlabelled, parallel or translated text it sees."
    versions: dict[str, str] = {}
    "Package -> version."
    commit: str = ""
    "Commit of this project."
    failures: tuple[Failure, ...] = ()
    "Stages that failed."
    replaced: tuple[Replaced, ...] = ()
    "Degenerate seeds that were replaced on request."


def write_record(record: RequestFile, path: Path) -> None:
    """Write a request file whole, by rename."""
    content = record.model_dump(mode="json")
    write_json(path, {"schema": content.pop("schema_"), **content})


def read_request(path: Path) -> RequestFile:
    """Read and check one request file; raises UserError with every mistake in it."""
    content = read_json_file(path)
    version = content.pop("schema", None) if isinstance(content, dict) else None
    if version != SCHEMA:
        raise UserError(
            "not a request file of this version", where=str(path), expected=f"schema {SCHEMA}", found=f"schema {version}"
        )
    try:
        request = RequestFile.model_validate({**content, "schema_": version})
    except ValidationError as error:
        raise_all([UserError(item["msg"], where=f"{path} {'.'.join(map(str, item['loc']))}") for item in error.errors()])
        raise
    raise_all(_unknown_names(request, path))
    return request


def _unknown_names(request: RequestFile, path: Path) -> list[UserError]:
    """Cells of models and tasks that the file says nothing of."""
    return [
        UserError(
            f"a cell of a {kind} that the file does not describe",
            where=f"{path} cells.{number}.{kind}",
            expected=f"a key of `{kind}s`",
            found=repr(name),
            todo="the file was edited or torn: remove it and give its command again",
        )
        for number, cell in enumerate(request.cells)
        for kind, name, known in (("model", cell.model, request.models), ("task", cell.task, request.tasks))
        if name not in known
    ]
