"""A board in the shape of lm-evaluation-harness: results_DATE.json, and with answers samples_TASK_DATE.jsonl, a folder an arm.

    write_lm_eval(board, Path("results"), date="2026-11-28T09:33:37.123Z", errors=errors, answers=None)

Scores are shares (0 to 1) as there, `acc,none` with `acc_stderr,none`; a language is a task (`xnli_de`), a task in several
a group.  A standard error is that of a mean over examples; where a score is no such mean it is "N/A", as there, and our interval
stands beside it (`acc_low,none`, `acc_high,none`).
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.api.protocols import Json
from harness.report.answers.answers import AnswerEntry, CellAnswers
from harness.report.exports.arms import BoardArm, arms_of, portable_name
from harness.report.record.newest import CellKey
from harness.runtime.stages import write_text

FILTER = "none"
"lm-eval's word for answers that went through no filter."
NAMES = {"accuracy.accuracy": "acc"}
"Names of scores that lm-eval shortens."
NOT_KNOWN = "N/A"
Answers = Callable[[CellKey], CellAnswers | None]
StandardErrors = Callable[[CellKey], Mapping[str, float]]


def write_lm_eval(
    board: Mapping[str, Json], folder: Path, *, date: str, errors: StandardErrors, answers: Answers | None
) -> list[Path]:
    """Write a folder for each arm; `errors` gives standard errors by `metric.key` as shares, `answers` those of a cell."""
    written: list[Path] = []
    stamp = date.replace(":", "-").removesuffix("Z")
    for arm in arms_of(board):
        place = folder / arm.name
        written.append(place / f"results_{stamp}.json")
        write_text(written[-1], json.dumps(results(board, arm, date=date, errors=errors), indent=2, ensure_ascii=False) + "\n")
        for row in arm.rows if answers else ():
            found = answers(arm.key(row)) if answers else None
            if found is not None:
                written.append(place / f"samples_{portable_name(arm.task_name(row))}_{stamp}.jsonl")
                lines = (json.dumps(line, ensure_ascii=False) for line in _samples(found, row))
                write_text(written[-1], "".join(line + "\n" for line in lines))
    return written


def score_name(key: str) -> str:
    """lm-eval's name of a score `metric.key`."""
    return NAMES.get(key, key.rpartition(".")[2])


def results(board: Mapping[str, Json], arm: BoardArm, *, date: str, errors: StandardErrors) -> dict[str, Json]:
    """The content of a results file."""
    tasks = {arm.task_name(row): _task_results(row, arm.task_name(row), errors(arm.key(row))) for row in arm.rows}
    groups = _groups(board, arm)
    model = board["models"][arm.model]
    return {
        "results": {**groups, **tasks},
        "groups": groups,
        "group_subtasks": {
            name: [arm.task_name(row) for row in arm.rows if row["task"] == name and arm.task_name(row) != name]
            for name in groups
        }
        | {name: [] for name in tasks},
        "configs": {
            arm.task_name(row): {
                "task": arm.task_name(row),
                "num_fewshot": arm.num_fewshot,
                "metadata": {"version": board["tasks"][row["task"]]["version"], "language": row["lang"], **arm.settings},
            }
            for row in arm.rows
        },
        "versions": {arm.task_name(row): board["tasks"][row["task"]]["version"] for row in arm.rows},
        "n-shot": {arm.task_name(row): arm.num_fewshot for row in arm.rows},
        "higher_is_better": {arm.task_name(row): {score_name(key): True for key in row["metrics"]} for row in arm.rows},
        "n-samples": {
            arm.task_name(row): {"original": row["counts"]["examples"], "effective": row["counts"]["examples"]}
            for row in arm.rows
        },
        "config": {
            "model": model["adapter"],
            "model_args": f"pretrained={model['path'] or arm.model}",
            "model_num_parameters": model["parameters"],
            "model_dtype": model["dtype"],
            "model_revision": model["revision"],
            "limit": arm.limit,
            "bootstrap_iters": board["bootstrap"]["samples"],
            "xlift": {**arm.settings, "partial": any(row["partial"] for row in arm.rows)},
        },
        "model_source": "xlift",
        "model_name": arm.name,
        "model_name_sanitized": arm.name,
        "date": date,
    }


def _task_results(row: Mapping[str, Json], name: str, errors: Mapping[str, float]) -> dict[str, Json]:
    """The numbers of one task in one language."""
    found: dict[str, Json] = {"alias": name, "sample_len": row["counts"]["examples"]}
    for key, number in row["metrics"].items():
        short = score_name(key)
        found[f"{short},{FILTER}"] = number["value"] / 100
        found[f"{short}_stderr,{FILTER}"] = errors.get(key, NOT_KNOWN)
        found[f"{short}_low,{FILTER}"] = number["low"] / 100
        found[f"{short}_high,{FILTER}"] = number["high"] / 100
    return found


def _groups(board: Mapping[str, Json], arm: BoardArm) -> dict[str, Json]:
    """The mean over languages of each task that has several, every language counting once, where none is missing."""
    found: dict[str, Json] = {}
    missing = {row["task"] for row in board["missing"] if all(row.get(name) == getattr(arm, name) for name in ("model", "seed"))}
    for task in dict.fromkeys(row["task"] for row in arm.rows):
        rows = [row for row in arm.rows if row["task"] == task]
        if len(rows) < 2 or task in missing:
            continue
        found[task] = {"alias": task, "sample_len": sum(row["counts"]["examples"] for row in rows)}
        for key in rows[0]["metrics"]:
            values = [row["metrics"][key]["value"] for row in rows]
            found[task][f"{score_name(key)},{FILTER}"] = sum(values) / len(values) / 100
            found[task][f"{score_name(key)}_stderr,{FILTER}"] = NOT_KNOWN
    return found


def _samples(found: CellAnswers, row: Mapping[str, Json]) -> Iterator[dict[str, Json]]:
    """A line an example: what was asked, what is right, what was answered."""
    for number, entry in enumerate(found.entries):
        target = "\n".join(entry.gold)
        doc = {"id": entry.id, **entry.fields}
        yield {
            "doc_id": number,
            "doc": doc,
            "target": target,
            "arguments": _arguments(entry),
            "resps": [_responses(entry)],
            "filtered_resps": list(entry.prediction),
            "filter": FILTER,
            "metrics": ["score"],
            "score": entry.score / 100,
            "doc_hash": _hash(json.dumps(doc, ensure_ascii=False, sort_keys=True)),
            "prompt_hash": _hash("\n".join(entry.prompts)),
            "target_hash": _hash(target),
            "lang": row["lang"],
        }


def _arguments(entry: AnswerEntry) -> dict[str, Json]:
    """The requests as they were sent, in lm-eval's names."""
    prompts: Sequence[str] = entry.prompts or ("",)
    continued = entry.continuations or ("",)
    pairs = [(prompt, text) for prompt in prompts for text in continued] if len(prompts) == 1 else list(zip(prompts, continued))
    return {f"gen_args_{n}": {"arg_0": prompt, "arg_1": text} for n, (prompt, text) in enumerate(pairs)} if entry.prompts else {}


def _responses(entry: AnswerEntry) -> list[Any]:
    """What the model said: its text, or what each choice was worth."""
    return [entry.answer] if entry.answer is not None else list(entry.scores.values())


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
