"""Fuzzer of templates: in the fields and the prompt of a task of ours, and in a task file of lm-evaluation-harness.

case = make(random.Random("1 7"), folder)       # case.commands: validate and plan
"""

import json
import random
from pathlib import Path

import yaml
from fuzzing import FuzzCase
from hostile_templates import hostile_template

ROWS = [{"text": "a b", "name": "c", "items": ["x", "y"], "row": {"a": 1, "b": None}, "label": number % 2} for number in range(3)]


def make(rng: random.Random, folder: Path) -> FuzzCase:
    """A task with rows and a hostile template in one of its places."""
    template = hostile_template(rng).encode("utf-8", "replace").decode()
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    place = rng.choice(("fields", "prompt", "doc_to_text", "doc_to_choice"))
    if place.startswith("doc"):
        spec = {
            "task": "t",
            "dataset_path": "json",
            "dataset_kwargs": {"data_files": {"test": "rows.jsonl"}},
            "test_split": "test",
            "output_type": "multiple_choice",
            "doc_to_text": "{{ text }}",
            "doc_to_choice": ["a", "b"],
            "doc_to_target": "label",
            place: template,
        }
    else:
        spec = {
            "task": "t",
            "type": "classification",
            "description": "d",
            "languages": ["de"],
            "data": {"test": {"files": {"rows": "rows.jsonl"}, "reader": "jsonl"}},
            "fields": {"text": {"template": template} if place == "fields" else "text", "label": "label"},
            "labels": ["a", "b"],
            "metrics": ["accuracy"],
            "prompt": {"context": template if place == "prompt" else "{{ text }}", "continuations": {"a": "A", "b": "B"}},
        }
    (folder / "t.yaml").write_text(yaml.safe_dump(spec, allow_unicode=True), encoding="utf-8")
    task = "lm_eval/t" if place.startswith("doc") else "t"
    run = (
        "plan",
        "--include_path",
        str(folder),
        "--tasks",
        task,
        "--model",
        "constant",
        "--output_path",
        str(folder / "runs"),
        "--quiet",
    )
    return FuzzCase(f"{place}: {template[:200]}", (("validate", str(folder)), run))
