"""Scores a submission folder against a label folder as XTREME's evaluate script does, number for number.

scores = score_submission(Path("predictions"), Path("labels"))
scores.tasks["xnli"].mean["accuracy"], scores.categories()["qa"], scores.overall()
scores.report()["scores"]          # the JSON that the script writes

Sums run in the script's order, so that no digit differs.  What the script
asserts, and what it would score although nothing is in its place, is an error that names the files; all errors come at once.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from harness.api.errors import UserError, raise_all
from harness.api.registry import METRICS
from harness.report.submission.files import read_answers, read_lines, read_questions
from harness.report.submission.tag_files import Sentences, read_sentences
from harness.report.submission.xtreme_format import CATEGORIES, TASKS, OfficialTask
from harness.runtime.garbage import rare_collections
from harness.scoring.metrics import chunk_f1
from harness.scoring.score import stats_of
from harness.scoring.sums import ordered_mean, ordered_total


class LanguageScore(NamedTuple):
    """The scores of one pair of files."""

    scores: Mapping[str, float]
    "Key of the metric -> 0-100."
    num_examples: int
    "Lines, sentences, questions or gold pairs."
    unanswered: int = 0
    "Questions without an answer in the submission; they score 0."
    unasked: int = 0
    "Answers to questions that the label file does not have."


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskScore:
    """A task in all languages that were scored."""

    task: OfficialTask
    languages: Mapping[str, LanguageScore]
    "In the script's order."
    missing: tuple[str, ...]
    "Languages without a file; empty unless asked for what is there."

    @property
    def mean(self) -> dict[str, float]:
        """Key of the metric -> unweighted mean over the languages, English included."""
        keys = METRICS.load(self.task.metric).KEYS
        return {key: ordered_mean([one.scores[key] for one in self.languages.values()]) for key in keys}

    @property
    def value(self) -> float:
        """The task's number: accuracy, F1, or the mean of exact match and F1."""
        return ordered_mean([self.mean[key] for key in self.task.score])

    def report(self) -> dict[str, Any]:
        """The entry of a task in the script's JSON."""
        by_key = {key: {lang: one.scores[key] for lang, one in self.languages.items()} for key in self.mean}
        return {**by_key, **{f"avg_{key}": value for key, value in self.mean.items()}, "avg_metric": self.value}


@dataclass(frozen=True, kw_only=True, slots=True)
class SubmissionScores:
    """Everything that was scored."""

    tasks: Mapping[str, TaskScore]
    notes: tuple[str, ...]
    "What a reader must know: what was not scored, what was left unanswered."

    def categories(self) -> dict[str, float]:
        """Category -> mean of its tasks; only those whose tasks are complete."""
        found = {name: self._values(tasks) for name, tasks in CATEGORIES.items()}
        return {name: ordered_mean(values) for name, values in found.items() if values}

    def overall(self) -> float | None:
        """The mean of the nine tasks; None unless all are complete."""
        values = self._values(tuple(TASKS))
        # The script adds up a set, whose order changes from run to run: the correctly rounded sum is the one without an order.
        return math.fsum(values) / len(values) if values else None

    def _values(self, names: Sequence[str]) -> list[float]:
        complete = all(name in self.tasks and not self.tasks[name].missing for name in names)
        return [self.tasks[name].value for name in names] if complete else []

    def report(self) -> dict[str, Any]:
        """JSON: `scores` in the script's own shape, and beside it what the script does not say."""
        overall = self.overall()
        means = {**({} if overall is None else {"all_task": overall}), **self.categories()}
        each = self.tasks.items()
        return {
            "scores": {**means, **{name: task.report() for name, task in each}},
            "examples": {name: {lang: one.num_examples for lang, one in task.languages.items()} for name, task in each},
            "unanswered": {name: _counted(task) for name, task in each if _counted(task)},
            "missing_languages": {name: list(task.missing) for name, task in each if task.missing},
            "missing_tasks": [name for name in TASKS if name not in self.tasks],
            "signatures": {name: METRICS.load(task.task.metric).SIGNATURE for name, task in each},
            "notes": list(self.notes),
        }


def score_submission(predictions: Path, gold: Path, *, partial: bool = False) -> SubmissionScores:
    """Score every task that both folders have; with `partial` also tasks that lack languages.

    Raises UserError with every file that is missing, cannot be read or does not fit its label file.
    """
    raise_all([UserError(f"{root} is no folder", expected=_EXPECTED) for root in (predictions, gold) if not root.is_dir()])
    both = [task for task in TASKS.values() if (predictions / task.name).is_dir() and (gold / task.name).is_dir()]
    if not both:
        found = "; ".join(f"{root}: {', '.join(_folders(root)) or 'no folder'}" for root in (predictions, gold))
        raise UserError("the two folders have no task in common", expected=_EXPECTED, found=found)
    errors: list[UserError] = []
    with rare_collections():
        scored = {task.name: _score_task(task, predictions, gold, partial=partial, errors=errors) for task in both}
    raise_all(errors)
    kept = {name: task for name, task in scored.items() if task.languages}
    if not kept:
        raise UserError("the two folders have no file in common", expected=_EXPECTED)
    return SubmissionScores(tasks=kept, notes=(*_folder_notes(predictions, gold), *_task_notes(kept)))


_EXPECTED = f"a folder with the folders {', '.join(TASKS)}"


def _score_task(task: OfficialTask, predictions: Path, gold: Path, *, partial: bool, errors: list[UserError]) -> TaskScore:
    """Score the languages of a task; what is wrong is added to `errors`."""
    there = {root: {lang for lang in task.languages if task.file(root, lang).is_file()} for root in (predictions, gold)}
    languages: dict[str, LanguageScore] = {}
    for root, found in there.items():
        absent = [task.file(root, lang).name for lang in task.languages if lang not in found]
        if absent and not partial:
            todo = "add them, or score what is there with --partial"
            where, message = str(root / task.name), f"{len(absent)} of {len(task.languages)} files are missing"
            errors.append(UserError(message, where=where, expected=", ".join(absent), todo=todo))
    for lang in task.languages:
        if lang in there[predictions] & there[gold]:
            try:
                languages[lang] = _READ[task.kind](task, lang, task.file(predictions, lang), task.file(gold, lang))
            except UserError as error:
                errors.append(error)
    missing = tuple(lang for lang in task.languages if lang not in languages)
    return TaskScore(task=task, languages=languages, missing=missing)


def _score_lines(task: OfficialTask, lang: str, predictions: Path, gold: Path) -> LanguageScore:
    """A label or a position a line, line by line."""
    given, wanted = read_lines(predictions), read_lines(gold)
    if len(given) != len(wanted):
        raise _misaligned(predictions, gold, f"{len(wanted)} lines", f"{len(given)} lines", _blank_lines(given))
    return _totals(task, lang, given, wanted)


def _score_tags(task: OfficialTask, lang: str, predictions: Path, gold: Path) -> LanguageScore:
    """Sentences of tags; sentences of another length would move all that follows in the script, so they are an error."""
    given, wanted = read_sentences(predictions), read_sentences(gold)
    ends = wanted.ends
    if not np.array_equal(given.ends, ends):
        raise _other_sentences(predictions, gold, given, wanted)
    if not len(ends):
        raise _nothing(task, lang)
    # The script chunks a file as one sequence, an O behind each sentence.  It shows where malformed tags (O-X, then a letter that
    # is none of B, I, E and S) end a chunk that nothing began: its beginning is then that of the last chunk, sentences ago.
    texts = tuple(dict.fromkeys((*wanted.texts, *given.texts)))
    counts = chunk_f1.file_stats(given.numbered_by(texts), wanted.numbered_by(texts), tags=texts)
    return _language_score(task, np.array(counts, dtype=np.float64), len(ends))


def _other_sentences(predictions: Path, gold: Path, given: Sentences, wanted: Sentences) -> UserError:
    """Where two files of tags part."""
    lengths, gold_lengths = given.lengths, wanted.lengths
    if len(lengths) != len(gold_lengths):
        empty = f"; blank lines too many at line {_listed(given.empty_at)}" if given.empty_at else ""
        expected, found = f"{len(gold_lengths)} sentences", f"{len(lengths)} sentences{empty}"
        return _misaligned(predictions, gold, expected, found, "put one blank line between sentences")
    other = np.flatnonzero(lengths != gold_lengths).tolist()
    n = other[0]
    more = f" (and {len(other) - 1} more sentences of another length)" if len(other) > 1 else ""
    expected = f"{gold_lengths[n]} tags in sentence {n + 1}, as at line {wanted.starts[n]} of the label file"
    found = f"{lengths[n]} tags at line {given.starts[n]}{more}"
    return _misaligned(predictions, gold, expected, found, "give every word a tag")


def _score_answers(task: OfficialTask, lang: str, predictions: Path, gold: Path) -> LanguageScore:
    """Answers by question id; one that is not there scores 0."""
    given, wanted = read_answers(predictions), read_questions(gold)
    found = _totals(task, lang, [given.get(question.id) for question in wanted], [question.answers for question in wanted])
    asked = {question.id for question in wanted}
    unanswered = sum(question.id not in given for question in wanted)
    return found._replace(unanswered=unanswered, unasked=sum(key not in asked for key in given))


def _score_pairs(task: OfficialTask, lang: str, predictions: Path, gold: Path) -> LanguageScore:
    """Two sets of pairs, one a line."""
    given, wanted = read_lines(predictions), read_lines(gold)
    return _totals(task, lang, [given], [wanted])._replace(num_examples=len(set(wanted)))


_READ: Mapping[str, Callable[[OfficialTask, str, Path, Path], LanguageScore]] = {
    "labels": _score_lines,
    "positions": _score_lines,
    "tags": _score_tags,
    "answers": _score_answers,
    "pairs": _score_pairs,
}


def _totals(task: OfficialTask, lang: str, given: Sequence[Any], wanted: Sequence[Any]) -> LanguageScore:
    """Score examples one by one, added up in their order: a sum in another order can differ in its last digit."""
    if not wanted:
        raise _nothing(task, lang)
    totals = ordered_total(stats_of(METRICS.load(task.metric), given, wanted, lang=lang))
    return _language_score(task, totals, len(wanted))


def _nothing(task: OfficialTask, lang: str) -> UserError:
    return UserError("no examples to score", where=f"{task.name}, {lang}", expected="at least one in the label file")


def _language_score(task: OfficialTask, totals: np.ndarray, num_examples: int) -> LanguageScore:
    scores = METRICS.load(task.metric).combine(totals)
    return LanguageScore({key: float(value) for key, value in scores.items()}, num_examples)


def _misaligned(predictions: Path, gold: Path, expected: str, found: str, todo: str) -> UserError:
    return UserError(f"does not fit {gold}", where=str(predictions), expected=expected, found=found, todo=todo)


def _blank_lines(lines: Sequence[str]) -> str:
    blank = [number for number, line in enumerate(lines, start=1) if not line]
    return f"blank lines count too: line {_listed(blank)}" if blank else ""


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers[:5])) + (", ..." if len(numbers) > 5 else "")


def _counted(task: TaskScore) -> dict[str, int]:
    return {lang: one.unanswered for lang, one in task.languages.items() if one.unanswered}


def _folders(root: Path) -> list[str]:
    return sorted(path.name for path in root.iterdir() if path.is_dir())


def _folder_notes(predictions: Path, gold: Path) -> list[str]:
    """What lies in one of the folders only, or is no task of XTREME."""
    notes = []
    for here, other in ((predictions, gold), (gold, predictions)):
        alone = [name for name in TASKS if (here / name).is_dir() and not (other / name).is_dir()]
        if alone:
            notes.append(f"not scored, because they lie in {here} alone: {', '.join(alone)}")
    unknown = sorted({name for root in (predictions, gold) for name in _folders(root)} - set(TASKS))
    return [*notes, *([f"not scored, because they are no tasks of XTREME: {', '.join(unknown)}"] if unknown else [])]


def _task_notes(tasks: Mapping[str, TaskScore]) -> list[str]:
    """Notes on missing languages and unanswered questions."""
    notes = []
    for name, task in tasks.items():
        if task.missing:
            of = f"{len(task.languages)} of its {len(task.task.languages)} languages"
            notes.append(f"{name}: mean over {of}; missing: {', '.join(task.missing)}")
        for lang, one in task.languages.items():
            if one.unanswered:
                notes.append(f"{name}, {lang}: {one.unanswered} of {one.num_examples} questions have no answer and score 0")
            if one.unasked:
                notes.append(f"{name}, {lang}: {one.unasked} answers belong to no question of the label file")
    return notes
