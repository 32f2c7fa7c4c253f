"""Small tasks, recipes and presets as YAML files with their rows beside them, for tests that plan and check.

catalog = Catalog([write_tasks(tmp_path)])
"""

import json
from pathlib import Path

import yaml
from small_folders import write_model_folder

RECIPE = {"recipe": "short", "description": "For tests.", "defaults": {"max_steps": 2}}


def pairs(name, *, langs=("en", "de"), train=True, **more):
    data = {"test": {"files": {"rows": f"{name}-{{lang}}.jsonl"}, "reader": "jsonl"}}
    if train:
        data["train"] = {"files": {"rows": f"{name}-train.jsonl"}, "reader": "jsonl"}
    spec = {
        "task": name,
        "type": "classification",
        "description": "Pairs.",
        "languages": list(langs),
        "data": data,
        "fields": {"text": "a", "label": "label"},
        "labels": ["no", "yes"],
        "metrics": ["accuracy"],
        "chance": 50,
    }
    return {**spec, **more}


def write(folder, spec):
    """Write a spec into the file of its name."""
    name = next(spec[kind] for kind in ("task", "group", "recipe", "preset") if kind in spec)
    path = Path(folder) / f"{name}.yaml"
    path.write_text(yaml.safe_dump(spec, sort_keys=False), encoding="utf-8")
    return path


def rows(folder, name, *kinds):
    """Write four rows for each of the languages and `train`."""
    for kind in kinds:
        lines = [json.dumps({"a": f"{kind} {n}", "label": "yes" if n % 2 else "no"}) for n in range(4)]
        (Path(folder) / f"{name}-{kind}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_tasks(folder):
    """`source` trains `left` and `right`; `warm` is an intermediate task; `bare` is not trained; the French of `left` lacks."""
    for spec in (
        pairs("source"),
        pairs("warm"),
        pairs("left", train=False, langs=("en", "de", "fr"), train_on="source", same_task=["source"]),
        pairs("right", train=False, train_on="source"),
        pairs("bare", train=False),
        RECIPE,
    ):
        write(folder, spec)
    for name in ("source", "warm", "left", "right", "bare"):
        rows(folder, name, "train", "en", "de")
    write_model_folder(Path(folder) / "model")
    return Path(folder)
