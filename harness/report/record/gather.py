"""Brings together what one or several runs asked for and what of it lies finished on disk.

    material = gather([Path("runs/a"), Path("runs/b")])
    material.cells, material.stages

The same folders in any order give the same material: duplicates are merged, contradictions are errors.  Within a folder the
newest request of a cell wins (`newest.py`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeVar

from harness.api.errors import UserError, raise_all
from harness.api.protocols import Json
from harness.data.own_languages import learn
from harness.report.record.newest import MODEL_IDENTITY, TASK_IDENTITY, CellKey, FoundRequest, settle
from harness.report.record.older import OlderResult, older_results
from harness.report.record.schema import (
    Overlap,
    Replaced,
    RequestedCell,
    RequestedGroup,
    RequestedModel,
    RequestedTask,
    RequestFile,
    read_request,
)
from harness.report.record.stage_facts import Environments, Wrong, portable, read_stages
from harness.runtime.stages import AGAIN, canonical, wrong_with
from harness.scoring.score import SCORE_FILE, STATS_FILE
from harness.specs.model import Spec

S = TypeVar("S", bound=Spec)
READ_FILES = ("args.json", "train.json", SCORE_FILE, STATS_FILE)
"What a board reads of finished stages, besides done.json."


@dataclass(frozen=True, kw_only=True, slots=True)
class CellRecord:
    """One cell that was asked for."""

    key: CellKey
    same_task: bool
    synthetic: bool
    score: str | None
    "Name of the score stage, e.g. 'score/xnli-de-0123456789'; None = blocked."
    predict: str | None
    train: tuple[str, ...]
    "Names of the train stages, intermediate first."
    folder: Path | None
    "The finished score folder; None = not finished in any run."
    reason: str = ""
    "Why it is not finished."


@dataclass(frozen=True, kw_only=True, slots=True)
class Material:
    """Everything a board is made of."""

    models: Mapping[str, RequestedModel]
    tasks: Mapping[str, RequestedTask]
    groups: Mapping[str, RequestedGroup]
    declared: Mapping[str, str]
    cells: Sequence[CellRecord]
    task_ranks: Mapping[str, int]
    "Task -> its first place among the tasks of any request."
    stages: Mapping[str, Json]
    "Name -> {key, inputs, data, facts, environments} of every finished stage that a cell rests on."
    environments: Mapping[str, Json]
    "Short name -> {commit, versions}."
    overlaps: Sequence[Overlap]
    failures: Sequence[Mapping[str, str]]
    replaced: Sequence[Replaced]
    "Degenerate seeds for which others were trained."
    requests: Sequence[Mapping[str, Json]] = ()
    "Arguments of the commands that it is of."
    older: Sequence[OlderResult] = ()
    "What older requests had in the place of some cells."


def gather(folders: Sequence[Path], *, requests: Sequence[str] | None = None) -> Material:
    """Read the requests (all, or the files of these names) and their finished stages.

    Raises UserError for folders that are no runs and for runs that contradict each other.
    """
    roots = sorted(set(folders))
    found = [FoundRequest(root, path, read_request(path)) for root in roots for path in request_files(root, requests)]
    errors: list[UserError] = []
    wrong = cache(lambda folder: wrong_with(folder, only=READ_FILES))
    settled = settle(found, errors)
    read = [request.content for request in settled.requests]
    failed = {failure.stage: failure.error for request in found for failure in request.content.failures}
    cells = [_asked(key, settled.cells[key].asked, roots, failed, wrong=wrong) for key in sorted(settled.cells, key=_cell_order)]
    environments = Environments()
    for request in read:
        environments.add(commit=request.commit, versions=request.versions)
    names = [n for cell in cells for n in (cell.score, cell.predict, *cell.train) if n]
    stages = read_stages(names, roots, environments, errors, wrong=wrong)
    models = _merged("model", settled.models, MODEL_IDENTITY, errors)
    tasks = _merged("task", settled.tasks, TASK_IDENTITY, errors)
    groups = _merged("group", settled.groups, ("aggregate",), errors)
    raise_all(errors)
    newest_last = [request.content for request in sorted(settled.requests, key=lambda request: request.age)]
    learn({code: row for request in newest_last for code, row in request.languages.items()}, where=f"{roots[0]}/requests")
    overlaps = {(o.train, o.test, o.lang): o for request in newest_last for o in request.overlaps}
    failures = {(f.stage, portable(f.error)) for r in read for f in r.failures if not _done(f.stage, roots)}
    return Material(
        requests=[request.request for request in read],
        models=models,
        tasks=tasks,
        groups=groups,
        declared=dict(sorted({name: text for request in newest_last for name, text in request.declared.items()}.items())),
        cells=cells,
        task_ranks=_task_ranks(read),
        stages=stages,
        environments=environments.found(),
        overlaps=[overlaps[key] for key in sorted(overlaps)],
        failures=[{"stage": stage, "error": error} for stage, error in sorted(failures)],
        replaced=sorted({r for request in read for r in request.replaced}, key=lambda r: canonical(r.model_dump(mode="json"))),
        older=older_results(settled.older),
    )


def request_files(root: Path, names: Sequence[str] | None = None) -> list[Path]:
    """The request files of a run folder (all, or those of these names); raises UserError where there are none."""
    paths = [path for path in sorted((root / "requests").glob("*.json")) if names is None or path.name in names]
    if not paths:
        expected = "a folder that a run wrote, with requests/*.json"
        raise UserError("no run here", where=str(root), expected=expected, todo="name the --output_path of a run")
    return paths


def _task_ranks(requests: Iterable[RequestFile]) -> dict[str, int]:
    """The order in which tasks were asked for, the same for any order of the requests."""
    ranks: dict[str, int] = {}
    for request in requests:
        for rank, task in enumerate(dict.fromkeys(cell.task for cell in request.cells)):
            ranks[task] = min(rank, ranks.get(task, rank))
    return ranks


def _done(stage: str, roots: Iterable[Path]) -> bool:
    return any((root / stage / "done.json").is_file() for root in roots)


def _cell_order(key: CellKey) -> str:
    return canonical(list(key))


def _damage(root: Path, path: Sequence[str], *, wrong: Wrong) -> str:
    """Which of the finished stages behind a score a board cannot believe, and why; empty where it can."""
    for stage in path:
        if _done(stage, [root]) and (reason := wrong(root / stage)):
            return f"{stage}: {reason}; {AGAIN}"
    return ""


def _asked(key: CellKey, cell: RequestedCell, roots: Sequence[Path], failed: Mapping[str, str], *, wrong: Wrong) -> CellRecord:
    """A cell with its finished folder or the reason why there is none."""
    path = [stage for stage in (*cell.train, cell.predict, cell.score) if stage]
    there = [root for root in roots if cell.score and _done(cell.score, [root])]
    damaged = {root: _damage(root, path, wrong=wrong) for root in there}
    folder = next((root / str(cell.score) for root in there if not damaged[root]), None)
    reason = ""
    if folder is None:
        broken = next((stage for stage in path if stage in failed and not _done(stage, roots)), None)
        reason = f"{broken} failed: {failed[broken]}" if broken else cell.blocked or "not finished"
        reason = portable(next(iter(damaged.values()), reason)).splitlines()[0]
    return CellRecord(
        key=key,
        same_task=cell.same_task,
        synthetic=cell.synthetic,
        score=cell.score,
        predict=cell.predict,
        train=cell.train,
        folder=folder,
        reason=reason,
    )


def _merged(kind: str, entries: Iterable[tuple[str, S]], identity: Sequence[str], errors: list[UserError]) -> dict[str, S]:
    """One entry a name: `identity` fields must agree, of the rest the fullest text serves, whatever the order."""
    merged: dict[str, S] = {}
    for name, entry in sorted(entries, key=lambda item: (item[0], _fullness(item[1])), reverse=True):
        kept = merged.setdefault(name, entry)
        errors += [
            UserError(
                f"two {kind}s of one name differ in {field}",
                where=f"{kind} {name}",
                expected=str(getattr(kept, field)),
                found=str(getattr(entry, field)),
                todo="scores of both must not share a board: make one for each",
            )
            for field in identity
            if None not in (getattr(kept, field), getattr(entry, field)) and getattr(kept, field) != getattr(entry, field)
        ]
    return dict(sorted(merged.items()))


def _fullness(entry: Spec) -> tuple[int, str]:
    text = canonical(entry.model_dump(mode="json"))
    return len(text), text
