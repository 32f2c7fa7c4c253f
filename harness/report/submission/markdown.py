"""Markdown of what was exported and of what was scored: `exported(export)`, `scored(scores)`."""

from typing import TYPE_CHECKING

from harness.api.escaping import markdown_text
from harness.report.board.tables import Column, in_blocks
from harness.report.submission.score import SubmissionScores, TaskScore
from harness.report.submission.xtreme_format import CATEGORIES, TASKS

if TYPE_CHECKING:
    from harness.report.submission.export import SubmissionExport  # loads what reads rows and runs, of which scores need nothing

NONE = "-"


def exported(export: "SubmissionExport") -> str:
    """One line a task: where it came from, languages, rows."""
    tasks = list(export.tasks.values())
    keys = [Column("folder", [task.task.name for task in tasks], left=True)]
    columns = [
        Column("task", [markdown_text(task.source) for task in tasks], left=True),
        Column("languages", [_of(len(task.cells), len(task.task.languages)) for task in tasks]),
        Column("rows", [f"{sum(export.num_rows[task.task.name].values()):,}" for task in tasks]),
    ]
    return in_blocks(keys, columns)


def scored(scores: SubmissionScores) -> str:
    """Three tables: the overall number and the categories, the tasks, the languages."""
    return "\n\n".join([_means(scores), _tasks(scores), _languages(scores)])


def _means(scores: SubmissionScores) -> str:
    found = scores.categories()
    columns = [Column("all tasks", [_number(scores.overall())])]
    return in_blocks([], [*columns, *(Column(name, [_number(found.get(name))]) for name in CATEGORIES)])


def _tasks(scores: SubmissionScores) -> str:
    tasks = list(scores.tasks.values())
    keys = [Column("task", [task.task.name for task in tasks], left=True)]
    names = list(dict.fromkeys(key for task in tasks for key in task.mean))
    columns = [
        Column("languages", [_of(len(task.languages), len(task.task.languages)) for task in tasks]),
        Column("score", [_number(task.value) for task in tasks]),
        *(Column(name, [_number(task.mean.get(name)) for task in tasks]) for name in names),
    ]
    return in_blocks(keys, columns)


def _languages(scores: SubmissionScores) -> str:
    """Languages by tasks: the keys of each task's score, `exact match / F1` for question answering."""
    tasks = [scores.tasks[name] for name in TASKS if name in scores.tasks]
    langs = sorted({lang for task in tasks for lang in task.languages}, key=lambda lang: (lang != "en", lang))
    titles = [f"{task.task.name} EM / F1" if len(task.task.score) > 1 else task.task.name for task in tasks]
    columns = [Column(title, [_cell(task, lang) for lang in langs]) for title, task in zip(titles, tasks)]
    return in_blocks([Column("lang", langs, left=True)], columns)


def _cell(task: TaskScore, lang: str) -> str:
    if lang not in task.languages:
        return ""
    return " / ".join(_number(task.languages[lang].scores[key]) for key in task.task.score)


def _of(some: int, everything: int) -> str:
    return str(everything) if some == everything else f"{some} of {everything}"


def _number(value: float | None) -> str:
    return NONE if value is None else f"{value:.2f}"
