"""A board as Every Eval Ever has results (schema 0.3.0): data/xlift/DEVELOPER/MODEL/UUID.json, with answers UUID_samples.jsonl.

    write_every_eval_ever(board, Path("eee"), date="2026-11-28T09:33:37.123Z", roots=[Path("runs/x")], answers=None)

A file an arm; each metric of each task and language is a result of its own, 0 to 100, with its interval and number of examples.
Identifiers are made of the content: the same board gives the same bytes.
"""

import hashlib
import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from harness import __version__
from harness.api.protocols import Json
from harness.report.answers.answers import CellAnswers
from harness.report.exports.arms import BoardArm, arms_of, portable_name, predict_arguments, source_of
from harness.report.exports.lm_eval_results import Answers, score_name
from harness.runtime.stages import write_text

SCHEMA = "0.3.0"
COLLECTION = "xlift"
LOCAL = "local"
"The developer of a model without a hub id."
KINDS = {"acc": "accuracy", "f1": "f1", "exact_match": "exact_match"}


def write_every_eval_ever(
    board: Mapping[str, Json], folder: Path, *, date: str, roots: Sequence[Path], answers: Answers | None
) -> list[Path]:
    """Write the file of each arm, and with `answers` a file of its answers beside it."""
    written: list[Path] = []
    for arm in arms_of(board):
        record = evaluation(board, arm, date=date, roots=roots)
        name = str(uuid.UUID(bytes=hashlib.sha256(json.dumps(record, sort_keys=True).encode()).digest()[:16], version=4))
        developer, model = record["model_info"]["id"].split("/", 1)
        place = Path("data", COLLECTION, portable_name(developer), portable_name(model))
        if answers is not None:
            path = place / f"{name}_samples.jsonl"
            text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in _all_samples(arm, record, answers))
            write_text(folder / path, text)
            written.append(folder / path)
            record["detailed_evaluation_results"] = {
                "format": "jsonl",
                "file_path": path.as_posix(),
                "hash_algorithm": "sha256",
                "checksum": hashlib.sha256(text.encode("utf-8")).hexdigest(),
                "total_rows": text.count("\n"),
            }
        written.append(folder / place / f"{name}.json")
        write_text(written[-1], json.dumps(record, indent=2, ensure_ascii=False) + "\n")
    return written


def evaluation(board: Mapping[str, Json], arm: BoardArm, *, date: str, roots: Sequence[Path]) -> dict[str, Json]:
    """The record of one arm."""
    model = board["models"][arm.model]
    name = model["path"] or model["preset"] or arm.model
    model_id = name if name.count("/") == 1 else f"{LOCAL}/{portable_name(Path(name).name)}"
    seconds = str(datetime.fromisoformat(date).timestamp())
    details = {
        "deployment_type": "self_deployed",
        "model_availability": "open_weights" if model["licence"] else "unknown",
        "adapter": model["adapter"],
        "dtype": model["dtype"],
        "revision": model["revision"],
        "fingerprint": model["fingerprint"],
        "licence": model["licence"],
        "parameters": model["parameters"],
        **arm.settings,
    }
    return {
        "schema_version": SCHEMA,
        "evaluation_id": f"{COLLECTION}/{arm.name}/{seconds}",
        "evaluation_timestamp": seconds,
        "retrieved_timestamp": seconds,
        "source_metadata": {
            "source_name": "xlift leaderboard.json",
            "source_type": "evaluation_run",
            "source_organization_name": "unknown",
            "evaluator_relationship": "other",
            "additional_details": {"command": json.dumps(board["requests"][0], sort_keys=True)} if board["requests"] else {},
        },
        "eval_library": {"name": "xlift", "version": __version__},
        "model_info": {
            "name": arm.name,
            "id": model_id,
            "developer": model_id.split("/", 1)[0],
            "additional_details": {key: str(value) for key, value in details.items() if value is not None},
        },
        "evaluation_results": [
            _result(board, arm, row, key, seconds=seconds, roots=roots) for row in arm.rows for key in row["metrics"]
        ],
    }


def _result(
    board: Mapping[str, Json], arm: BoardArm, row: Mapping[str, Json], key: str, *, seconds: str, roots: Sequence[Path]
) -> dict[str, Json]:
    """One metric of one task in one language."""
    task, number = board["tasks"][row["task"]], row["metrics"][key]
    hub, config, split = source_of(predict_arguments(row, roots))
    about = {"config": config, "split": split, "language": row["lang"]}
    counts = row["counts"]
    details = {
        "chance": row["chance"],
        "missing": counts["missing"],
        "truncated_examples": counts["truncated_examples"],
        **{f"note {name}": value for name, value in counts["notes"].items()},
        "partial": row["partial"],
        "counts_for_score": key in task["score"],
    }
    return {
        "evaluation_result_id": f"{arm.name}/{arm.task_name(row)}/{key}",
        "evaluation_name": arm.task_name(row),
        "source_data": {
            "dataset_name": row["task"],
            "source_type": "hf_dataset" if hub else "other",
            **({"hf_repo": hub} if hub else {}),
            **({"samples_number": counts["examples"]} if hub else {}),
            "additional_details": {name: str(value) for name, value in about.items() if value is not None},
        },
        "evaluation_timestamp": seconds,
        "metric_config": {
            "evaluation_description": task["description"],
            "metric_id": key,
            "metric_name": key,
            "metric_kind": KINDS.get(score_name(key), score_name(key)),
            "metric_unit": "percent",
            "lower_is_better": False,
            "score_type": "continuous",
            "min_score": -100.0 if score_name(key) == "mcc" else 0.0,
            "max_score": 100.0,
            "additional_details": {"signature": number["signature"]},
        },
        "score_details": {
            "score": number["value"],
            "details": {name: str(value) for name, value in details.items()},
            "uncertainty": {
                "confidence_interval": {
                    "lower": number["low"],
                    "upper": number["high"],
                    "confidence_level": board["bootstrap"]["level"],
                    "method": "bootstrap",
                },
                "num_samples": counts["examples"],
                "num_bootstrap_samples": board["bootstrap"]["samples"],
            },
        },
    }


def _all_samples(arm: BoardArm, record: Mapping[str, Json], answers: Answers) -> Iterator[dict[str, Json]]:
    for row in arm.rows:
        found = answers(arm.key(row))
        if found is not None:
            yield from _samples(found, arm, row, record)


def _samples(found: CellAnswers, arm: BoardArm, row: Mapping[str, Json], record: Mapping[str, Json]) -> Iterator[dict[str, Json]]:
    """A line an example."""
    first = next(iter(row["metrics"]))
    for entry in found.entries:
        asked = "\n".join(f"{name}: {text}" for name, text in entry.fields.items())
        said = entry.answer if entry.answer is not None else "\n".join(entry.prediction)
        yield {
            "schema_version": SCHEMA,
            "evaluation_id": record["evaluation_id"],
            "model_id": record["model_info"]["id"],
            "evaluation_name": arm.task_name(row),
            "evaluation_result_id": f"{arm.name}/{arm.task_name(row)}/{first}",
            "sample_id": entry.id,
            "sample_hash": hashlib.sha256((asked + "\n".join(entry.gold)).encode("utf-8", "surrogatepass")).hexdigest(),
            "interaction_type": "single_turn",
            "input": {
                "raw": asked,
                "formatted": "\n\n".join(entry.prompts) or None,
                "reference": list(entry.gold),
                "choices": list(entry.continuations) or None,
            },
            "output": {"raw": [said]},
            "messages": None,
            "answer_attribution": [
                {
                    "turn_idx": 0,
                    "source": "output.raw",
                    "extracted_value": "\n".join(entry.prediction),
                    "extraction_method": "custom",
                    "is_terminal": True,
                }
            ],
            "evaluation": {"score": entry.score / 100, "is_correct": entry.is_right},
            "metadata": {"language": row["lang"]},
        }
