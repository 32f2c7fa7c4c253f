"""What lm-eval and xlift say of the same rows of a task, held against each other: the lines of lm_eval_side_by_side.py.

line = Line(task="copa", mode=Mode(shots=3, chat=True), output_type="multiple_choice")
compare(line, questions, predictions, documents)
compare_numbers(line, results, metrics)
line.wrong                       # what differs, in words
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from benchmarks.lm_eval_side_rows import TASKS
from harness.scoring.metrics.lm_eval_mean import OWN_SCALE

CLOSE = 2e-4
"Of log-likelihoods and of values from 0 to 1."
SHOTS = (0, 3)
LONGEST_ANSWER = 256
"Tokens, where a file says nothing: lm-eval's."
PERCENT = ("lm_eval_mean", "lm_eval_f1", "lm_eval_mcc")
"Metrics that boards give from 0 to 100, but for values that have a scale of their own."
COLUMNS = (
    "task", "output type", "rows", "shots", "chat", "requests", "prompts", "likelihoods", "texts", "metric", "lm-eval", "xlift",
)  # fmt: skip


class Mode(NamedTuple):
    """How all tasks are asked at once."""

    shots: int
    chat: bool

    @property
    def name(self) -> str:
        """For files."""
        return f"{self.shots} shots{', chat' if self.chat else ''}"


MODES = tuple(Mode(shots, chat) for shots in SHOTS for chat in (False, True))


@dataclass(kw_only=True)
class Line:
    """One line of the table."""

    task: str
    mode: Mode
    output_type: str
    requests: int = 0
    likelihoods: int = 0
    farthest: float = 0.0
    "Largest difference of a log-likelihood."
    texts: int = 0
    metric: str = ""
    theirs: float = 0.0
    ours: float = 0.0
    wrong: list[str] = field(default_factory=list)
    "What differs."

    def cells(self) -> list[str]:
        """What the table says of it."""
        differs = {kind for kind in ("prompt", "text") if any(one.startswith(kind) for one in self.wrong)}
        return [
            self.task,
            self.output_type,
            TASKS[self.task].rows,
            str(self.mode.shots),
            "yes" if self.mode.chat else "no",
            str(self.requests),
            "DIFFER" if "prompt" in differs else "equal",
            f"{self.farthest:.1e}" if self.likelihoods else "",
            ("DIFFER" if "text" in differs else "equal") if self.texts else "",
            self.metric,
            f"{self.theirs:.6g}",
            f"{self.ours:.6g}",
        ]


class Question(NamedTuple):
    """What we asked of a row."""

    id: str
    gold: Any
    requests: list[tuple[str, str | None]]
    "Contexts and continuations."
    answers: list[dict[str, Any]]
    "For each text that is to be written how it is."


def compare(
    line: Line, asked: Sequence[Question], said: Sequence[Mapping[str, Any]], documents: Sequence[Mapping[str, Any]]
) -> None:
    """Put what differs between our rows of a task and lm-eval's into its line."""
    if not len(asked) == len(said) == len(documents) > 0:
        line.wrong.append(f"rows: lm-eval has {len(documents)}, xlift asks {len(asked)} and answers {len(said)}")
        return
    first = documents[0]["filter"]
    for question, answer, document in zip(asked, said, documents, strict=True):
        assert document["filter"] == first
        where = f"row {question.id}"
        _compare_prompts(line, question, document, where)
        _compare_answers(line, answer["prediction"], document["responses"], where)
        if question.id != str(document["doc_id"]) or question.gold != document["target"] or answer["gold"] != document["target"]:
            line.wrong.append(f"gold of {where}: lm-eval {document['target']!r}, xlift {question.gold!r}")


def _compare_prompts(line: Line, question: Question, document: Mapping[str, Any], where: str) -> None:
    """Contexts, continuations, and how an answer is written."""
    theirs: list[tuple[str, str | None]] = []
    answers = []
    for arguments in document["arguments"]:
        context, rest = arguments if len(arguments) == 2 else ("", *arguments)
        theirs.append((context, None if isinstance(rest, dict) else rest))
        if isinstance(rest, dict):
            until = rest["until"] if isinstance(rest["until"], list) else [rest["until"]]
            answers.append({"max_new_tokens": rest.get("max_gen_toks", LONGEST_ANSWER), "stop": until})
    ours = [{name: answer[name] for name in ("max_new_tokens", "stop")} for answer in question.answers]
    line.requests += len(theirs)
    for there, here in ((theirs, question.requests), (answers, ours)):
        if there != here:
            line.wrong.append(f"prompt of {where}:\n  lm-eval {there!r}\n  xlift   {here!r}")


def _compare_answers(line: Line, said: Mapping[str, Any], told: Sequence[Any], where: str) -> None:
    """Log-likelihoods, or the text that was written."""
    if "text" in said:
        line.texts += 1
        if [said["text"]] != told:
            line.wrong.append(f"text of {where}: lm-eval {told!r}, xlift {said['text']!r}")
        return
    theirs = [one if isinstance(one, float) else one[0] for one in told]
    line.likelihoods += len(theirs)
    apart = max(abs(here - there) for here, there in zip(said["loglikelihoods"], theirs, strict=True))
    line.farthest = max(line.farthest, apart)
    if apart > CLOSE:
        line.wrong.append(f"log-likelihoods of {where}: lm-eval {theirs}, xlift {said['loglikelihoods']}")


def compare_numbers(line: Line, results: Mapping[str, Any], metrics: Mapping[str, Mapping[str, Any]]) -> None:
    """The numbers of a task, by lm-eval's names; the first one stands in the table."""
    ours = {}
    for key, number in metrics.items():
        family, _, rest = key.partition(":")
        metric, _, filter_name = rest.rpartition(".")[0].partition(",")
        as_it_is = family not in PERCENT or any(part in metric.lower() for part in OWN_SCALE)
        ours[f"{metric},{filter_name or 'none'}"] = number["value"] / (1 if as_it_is else 100)
    theirs = {name: value for name, value in results.items() if "," in name and "_stderr" not in name}
    if set(ours) != set(theirs):
        line.wrong.append(f"numbers: lm-eval {sorted(theirs)}, xlift {sorted(ours)}")
    shared = [name for name in theirs if name in ours]
    for name in shared:
        if abs(ours[name] - theirs[name]) > CLOSE * max(1.0, abs(theirs[name])):
            line.wrong.append(f"number {name}: lm-eval {theirs[name]}, xlift {ours[name]}")
    if shared:
        line.metric = shared[0].removesuffix(",none")
        line.theirs, line.ours = theirs[shared[0]], ours[shared[0]]
