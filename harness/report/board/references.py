"""Published numbers beside those of the board: never in a mean, a lift or a row of it.

    names = named_references("xlmr_large_xtreme,mt5_base")
    entries = reference_entries(names, tasks, languages)      # for leaderboard.json: `references`
    parts = reference_sections(board)                                     # for the page; by language: published_languages
    published()["mt5_small"].tasks["xnli"].scores                         # {'accuracy': 67.5}, of published.yaml

A reference is one model on one split, so that numbers of dev and of test tables cannot meet in one line.
"""

from collections.abc import Collection, Mapping, Sequence
from functools import cache
from pathlib import Path
from statistics import fmean
from types import MappingProxyType
from typing import Literal

from harness.api.errors import UserError, did_you_mean, raise_all
from harness.api.protocols import Json
from harness.data.languages import in_order
from harness.report.board.number_format import NOTHING, collected
from harness.report.board.tables import Column, folded, in_blocks
from harness.report.record.schema import RequestedTask
from harness.specs.evidence import Evidence, explained
from harness.specs.loader import parse, read_document
from harness.specs.model import Spec

FILE = Path(__file__).with_name("published.yaml")
ABOUT = (
    "Not made here: what papers print of whole sets, in no mean and no lift of this board. Letters say how a number is known: "
    "{tags}. Where several metrics make a task's score, it comes first, if all of them are known."
)


class PublishedTask(Spec):
    """The numbers that a paper prints for one task."""

    evidence: Evidence
    "How the numbers are known."
    source: str
    "Where they stand."
    scores: dict[str, float]
    "Mean over all languages of the task, by the key of its metric."
    languages: dict[str, dict[str, float]] = {}
    "Numbers of single languages, by the key of the metric."


class Published(Spec):
    """One model on one split, as one version of one paper has it."""

    model: str
    "Name for the board."
    non_embedding_parameters: int | None = None
    "Of the model as the paper trained it, by its configuration."
    intermediate: str
    "Intermediate task, or none."
    paper: str
    "Authors, year, arXiv number."
    version: str
    "Which version of the paper or table."
    split: Literal["test", "dev"]
    "Rows that were scored."
    note: str = ""
    "What a reader must know."
    tasks: dict[str, PublishedTask]
    "By task."


@cache
def published() -> Mapping[str, Published]:
    """All references of published.yaml by name."""
    document = read_document(FILE)
    found: dict[str, Published] = {}
    errors: list[UserError] = []
    for name in document.values:
        spec, wrong = parse(document, Published, at=(name,))
        errors += wrong
        if spec:
            found[name] = spec
    raise_all(errors)
    return MappingProxyType(found)


def named_references(text: str) -> list[str]:
    """The references that `--references a,b` names; raises UserError for those there are not, all at once."""
    names = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    raise_all(
        [
            UserError(f"no published numbers are called '{name}'", where="--references", todo=did_you_mean(name, published()))
            for name in names
            if name not in published()
        ]
    )
    return names


def unused_references(names: Sequence[str], board: Mapping[str, Json]) -> list[str]:
    """Those of the names that have a number of no task of the board."""
    return [name for name in names if all(entry["reference"] != name for entry in board["references"])]


def reference_entries(
    names: Sequence[str], tasks: Mapping[str, RequestedTask], languages: Mapping[str, Collection[str]]
) -> list[dict[str, Json]]:
    """One entry for each reference and task of the board; `languages` are those that the board has of each task."""
    return [
        _entry(name, task, keys=[key.rsplit(".", 1)[-1] for key in tasks[task].score], here=languages.get(task, ()))
        for name in dict.fromkeys(names)
        for task in tasks
        if task in published()[name].tasks
    ]


def _entry(name: str, task: str, *, keys: Sequence[str], here: Collection[str]) -> dict[str, Json]:
    """A reference on one task; `here` is its mean over the languages of the board, where those are fewer."""
    row = published()[name]
    found = row.tasks[task]
    common = sorted(set(here).intersection(*(by_lang for by_lang in found.languages.values())))
    fewer = bool(found.languages) and 0 < len(common) < min(map(len, found.languages.values()))
    narrowed = {key: fmean(by_lang[lang] for lang in common) for key, by_lang in found.languages.items()} if fewer else {}
    return {
        "reference": name,
        **{key: getattr(row, key) for key in ("model", "intermediate", "paper", "version", "split", "note")},
        "task": task,
        "evidence": found.evidence,
        "source": found.source,
        "score": _score(found.scores, keys),
        "metrics": dict(found.scores),
        "languages": {key: dict(by_lang) for key, by_lang in found.languages.items()},
        "here": {"languages": common, "score": _score(narrowed, keys), "metrics": narrowed} if fewer else None,
    }


def _score(metrics: Mapping[str, float], keys: Sequence[str]) -> float | None:
    """The mean of the metrics that make the task's score; None unless all of them are known."""
    return fmean(metrics[key] for key in keys) if all(key in metrics for key in keys) else None


def reference_sections(board: Mapping[str, Json]) -> list[str]:
    """The table of published numbers and where they stand; empty if none were asked for."""
    entries = board["references"]
    if not entries:
        return []
    rows = {entry["reference"]: entry for entry in entries}
    cells = {(entry["reference"], entry["task"]): entry for entry in entries}
    keys = [
        Column("published", [f"{entry['model']}: {name}" for name, entry in rows.items()], left=True),
        Column("split", [entry["split"] for entry in rows.values()], left=True),
        Column("intermediate", [entry["intermediate"] for entry in rows.values()], left=True),
    ]
    tasks = [task for task in board["task_order"] if any(entry["task"] == task for entry in entries)]
    columns = [Column(task, [_text(cells.get((name, task))) for name in rows]) for task in tasks]
    fewer = any(entry["here"] for entry in entries)
    about = ABOUT.format(tags=explained({entry["evidence"] for entry in entries})) + (
        " After `here`: over the languages of this board alone." if fewer else ""
    )
    return ["## Published numbers", about, in_blocks(keys, columns), _sources(entries)]


def _text(entry: Mapping[str, Json] | None) -> str:
    if entry is None:
        return NOTHING
    own = entry["here"]
    here = "" if own is None else f" here {_numbers(own)}" if own["score"] is None else f" here {own['score']:.1f}"
    return f"{_numbers(entry)}{here} {entry['evidence']}"


def _numbers(entry: Mapping[str, Json]) -> str:
    """The score, then the metrics by name where there are several or where they do not make the score."""
    score, metrics = entry["score"], entry["metrics"]
    if score is not None and len(metrics) == 1:
        return f"{score:.1f}"
    named = ", ".join(f"{key} {value:.1f}" for key, value in sorted(metrics.items()))
    return named if score is None else f"{score:.1f} ({named})"


def _sources(entries: Sequence[Mapping[str, Json]]) -> str:
    """Paper, version and, by source, the tasks of each reference."""
    lines = []
    for name in dict.fromkeys(entry["reference"] for entry in entries):
        own = [entry for entry in entries if entry["reference"] == name]
        found = collected(((entry["evidence"], entry["source"]), entry["task"]) for entry in own)
        sources = "; ".join(f"{', '.join(tasks)}: {source} [{evidence}]" for (evidence, source), tasks in found.items())
        note = f" {own[0]['note']}" if own[0]["note"] else ""
        lines.append(f"- {name}: {own[0]['paper']}; {own[0]['split']}; version: {own[0]['version']}. {sources}.{note}")
    return "\n".join(lines)


def published_languages(board: Mapping[str, Json], task: str) -> list[str]:
    """The table of published numbers of the languages that the board has of a task; empty if there are none."""
    entries = [entry for entry in board["references"] if entry["task"] == task and entry["languages"]]
    if not entries:
        return []
    known = {lang for entry in entries for by_lang in entry["languages"].values() for lang in by_lang}
    here = {lang for entry in board["task_scores"] if entry["task"] == task for lang in entry["languages"]}
    langs = in_order(known & here)
    if not langs:
        return []
    columns = [Column("lang", langs, left=True)]
    for entry in entries:
        for key, by_lang in sorted(entry["languages"].items()):
            title = entry["reference"] + (f" {key}" if len(entry["languages"]) > 1 else "")
            columns.append(Column(title, [f"{by_lang[lang]:.1f}" if lang in by_lang else NOTHING for lang in langs]))
    return [f"### {task}: published", folded(columns)]
