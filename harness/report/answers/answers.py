"""The answers of a finished cell that a reader wants to see: wrong or right ones, most confident first, or drawn by a seed.

    task = material.tasks[cell.key.task]
    found = cell_answers(cell, task=task, roots=[Path("runs/x")], rows=rows, choice=AnswerChoice(number=5))
    found.entries[0].fields["text"], found.entries[0].prediction, found.entries[0].confidence
    found.json()                       # the same as plain JSON

`cell` and `material` are those of `gather`.  Where the rows have changed, entries have ids, gold and predictions alone, and
`note` says why.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from pydantic import FiniteFloat, ValidationError

from harness.api.errors import UserError
from harness.api.json_text import parse_json
from harness.api.protocols import Json
from harness.api.registry import TASK_TYPES
from harness.data.samples import sample_ids
from harness.report.answers.asked_rows import AskedRows, RowPlace, asked_rows
from harness.report.record.gather import CellRecord
from harness.report.record.newest import CellKey
from harness.report.record.schema import RequestedTask
from harness.runtime.arguments import PredictArguments
from harness.runtime.stages import AGAIN, read_begun, wrong_with
from harness.scoring.score import score_table
from harness.scoring.score_files import read_stats
from harness.specs.model import Spec
from harness.task_types.showing.answers import ShownAnswer, bare

FILE = "predictions.jsonl"
RIGHT = 100 - 1e-9
"Score of an example from which on it is right."
CONFIDENT, LOWEST = "most confident first", "lowest score first"


Which: TypeAlias = Literal["wrong", "right", "all"]


class AnswerChoice(NamedTuple):
    """Which answers are wanted."""

    which: Which = "wrong"
    number: int | None = 5
    "At most so many; None = all of them."
    draw: int | None = None
    "Draw them by this seed, in place of the most confident ones."
    in_order: bool = False
    "As predictions.jsonl has them, in place of the most confident ones first."


@dataclass(frozen=True, kw_only=True, slots=True)
class AnswerEntry:
    """One example with its answer."""

    id: str
    is_right: bool
    score: float
    "Of this example alone, 0 to 100, by the metrics that make the task's score."
    confidence: float | None
    "Probability of what was chosen, among what could be chosen; None where the prediction does not say."
    fields: Mapping[str, str]
    "What the model was given; empty where the rows are not to be had."
    gold: tuple[str, ...]
    prediction: tuple[str, ...]
    differences: tuple[str, ...]
    scores: Mapping[str, float | None]
    "Label or choice -> log-probability, or the normalised log-likelihood of its continuation."
    answer: str | None
    "What the model wrote, where the prediction was read out of that."
    prompts: tuple[str, ...]
    "The prompts as they were sent."
    continuations: tuple[str, ...]
    "What was scored behind them."
    num_truncated: int
    "Tokens that the model did not see."
    notes: tuple[str, ...]
    thoughts: str | None = None
    "What the model wrote before its answer, where it was to think."


@dataclass(frozen=True, kw_only=True, slots=True)
class CellAnswers:
    """The answers of one cell that were wanted."""

    key: CellKey
    num_examples: int
    num_wrong: int
    order: str
    "How the entries were chosen, in words."
    note: str
    "Why inputs or prompts are not shown; empty where they are."
    entries: tuple[AnswerEntry, ...]

    def json(self) -> Json:
        """Plain JSON, with the names of the fields."""
        return {**asdict(self), "key": dict(self.key._asdict())}


def cell_answers(
    cell: CellRecord, *, task: RequestedTask, roots: Sequence[Path], rows: RowPlace, choice: AnswerChoice
) -> CellAnswers:
    """The wanted answers of a finished cell; raises UserError where its predictions cannot be believed."""
    assert cell.folder is not None
    assert cell.predict is not None
    folder = next((root / cell.predict for root in roots if (root / cell.predict / FILE).is_file()), None)
    reason = wrong_with(folder, only=("args.json", FILE)) if folder else "its predictions are not there"
    if folder is None or reason:
        raise UserError(reason, where=cell.predict, todo=AGAIN)
    begun = read_begun(folder)
    args = begun.args
    if not isinstance(args, PredictArguments):
        raise UserError("not the folder of a prediction", where=str(folder), found=args.VERB, todo=AGAIN)
    lines = _lines(folder)
    judged = _judged(cell.folder, lines, task)
    chosen, order = _chosen(judged, choice)
    asked = asked_rows(args, folder, model=cell.key.model, rows=rows)
    return CellAnswers(
        key=cell.key,
        num_examples=len(judged),
        num_wrong=sum(not one.is_right for one in judged),
        order=order,
        note=asked.why_not or asked.why_no_prompt,
        entries=_fitting_entries(chosen, asked, folder),
    )


class _Line(Spec):
    """A line of predictions.jsonl."""

    id: str
    lang: str = ""
    prediction: Any
    gold: Any
    num_truncated: int = 0
    notes: tuple[str, ...] = ()
    scores: tuple[FiniteFloat | None, ...] | None = None
    answer: str | None = None
    thoughts: str | None = None


def _lines(folder: Path) -> list[dict[str, Any]]:
    """The lines of predictions.jsonl; raises UserError for one that is no prediction."""
    found = []
    path = folder / FILE
    try:
        texts = path.read_bytes().decode("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError("cannot be read", where=str(path), found=str(error)[:120], todo=AGAIN) from error
    for number, text in enumerate(texts, start=1):
        try:
            found.append(_Line.model_validate(parse_json(text, where=f"{path}:{number}")).model_dump())
        except ValidationError as error:
            told = error.errors()[0]
            where = f"{path}:{number} {'.'.join(map(str, told['loc']))}"
            raise UserError(f"not a prediction: {told['msg']}", where=where, todo=AGAIN) from error
    return found


class _Judged(NamedTuple):
    """A line with what is known of it without its row."""

    line: Mapping[str, Any]
    score: float
    is_right: bool
    confidence: float | None
    place: int


def _judged(folder: Path, lines: Sequence[Mapping[str, Any]], task: RequestedTask) -> list[_Judged]:
    """Each line with its own score: that of the task's metrics for this example alone."""
    stats = read_stats(folder)
    ids = stats.pop("ids").tolist()
    table, combine = score_table(stats, task.score)
    with np.errstate(all="ignore"):
        scores = dict(zip(ids, combine(table)["score"].tolist()))
    found = []
    for place, line in enumerate(lines):
        if line["id"] not in scores:
            raise UserError(
                "predictions and score do not belong together", where=str(folder), found=f"id {line['id']}", todo=AGAIN
            )
        score = scores[line["id"]]
        score = score if np.isfinite(score) else 0.0
        right = score >= RIGHT or (line["prediction"] is not None and line["prediction"] == line["gold"])
        found.append(_Judged(line, score, right, _confidence(line), place))
    return found


def _confidence(line: Mapping[str, Any]) -> float | None:
    """The share of what was chosen: a softmax over what the labels or choices are worth."""
    values = [value for value in _worth(line) if value is not None]
    if len(values) < 2:
        return None
    exponents = np.exp(np.array(values) - max(values))
    return float(exponents.max() / exponents.sum())


def _worth(line: Mapping[str, Any]) -> Sequence[float | None]:
    """What each label or choice was worth; empty where the line does not say."""
    said = line["scores"]
    if said is None and isinstance(line["prediction"], dict):  # of lm-eval's tasks
        said = line["prediction"].get("loglikelihoods")
    numbers = said if isinstance(said, list | tuple) else ()
    return numbers if all(one is None or (isinstance(one, int | float) and math.isfinite(one)) for one in numbers) else ()


def _chosen(judged: Sequence[_Judged], choice: AnswerChoice) -> tuple[list[_Judged], str]:
    """The wanted ones in their order, and that order in words."""
    wanted = [one for one in judged if choice.which == "all" or one.is_right == (choice.which == "right")]
    number = len(wanted) if choice.number is None else choice.number
    if choice.draw is not None:
        places = sample_ids([one.line["id"] for one in wanted], number, seed=choice.draw, key="answers")
        return [wanted[place] for place in places], f"drawn by seed {choice.draw}"
    if choice.in_order:
        return wanted[:number], "in the order of the rows"
    if any(one.confidence is not None for one in wanted):
        ordered = sorted(wanted, key=lambda one: (-(one.confidence or 0.0), one.place))
        return ordered[:number], CONFIDENT
    return sorted(wanted, key=lambda one: (one.score, one.place))[:number], LOWEST


def _fitting_entries(chosen: Sequence[_Judged], asked: AskedRows, folder: Path) -> tuple[AnswerEntry, ...]:
    """The entries; raises UserError where predictions are not of the shape that their task type gives them."""
    try:
        return tuple(_entries(chosen, asked))
    except (TypeError, ValueError, KeyError, AttributeError, IndexError) as error:
        found = f"{type(error).__name__}: {error}"[:120]
        raise UserError("predictions that do not fit their task", where=str(folder / FILE), found=found, todo=AGAIN) from error


def _entries(chosen: Sequence[_Judged], asked: AskedRows) -> list[AnswerEntry]:
    """The chosen lines with their rows and prompts."""
    spec = asked.cell.spec
    lines = [one.line for one in chosen]
    shown: Sequence[ShownAnswer | None] = [None] * len(lines)
    if asked.examples:
        shown = TASK_TYPES.load(spec.type).shown(lines, asked.examples, task=spec)
    by_id = {example.id: example for example in asked.examples}
    prompted = asked.in_words and not asked.why_no_prompt
    found = []
    for one, told in zip(chosen, shown, strict=True):
        line, told = one.line, told or bare(one.line)
        sent = asked.sent(by_id[line["id"]]) if prompted and line["id"] in by_id else []
        found.append(
            AnswerEntry(
                id=line["id"],
                is_right=one.is_right,
                score=one.score,
                confidence=one.confidence,
                fields=told.fields,
                gold=told.gold,
                prediction=told.prediction,
                differences=told.differences,
                scores=_scores(line, spec.labels),
                answer=line["answer"],
                prompts=tuple(one.context for one in sent),
                continuations=tuple(text for one in sent for text in one.continuations),
                num_truncated=line["num_truncated"],
                notes=line["notes"],
                thoughts=line["thoughts"],
            )
        )
    return found


def _scores(line: Mapping[str, Any], labels: Sequence[str]) -> dict[str, float | None]:
    """What each label or choice was worth, by its name or number from 1."""
    said = _worth(line)
    names = labels or [str(number) for number in range(1, len(said) + 1)]
    return dict(zip(names, said))
