"""Tasks of lm-evaluation-harness that are a Python class: what its file says of them, read without running it.

    values = values_of_class(FunctionName("task.SQuAD2", folder))      # dataset_path, splits, functions, metrics: as a task file

Questions, answers, requests and scores are methods, which run as functions do, with --trust_task_code.  The dataset, the splits
and the names of the metrics must stand in the class as they are; a class that computes them is refused.
"""

import ast
from collections.abc import Iterator, Mapping
from typing import Any

from harness.api.errors import UserError
from harness.planning.catalog.lm_eval_files.yaml_reader import FunctionName
from harness.specs.loader import shown
from harness.task_types.lm_eval_harness.task_code import file_of

SPLITS = {"train": "training_split", "validation": "validation_split", "test": "test_split"}
"What methods are called: <split>ing_docs or <split>_docs -> key of a task file."
DEFAULT_GENERATION: Mapping[str, Any] = {"until": ["\n\n"], "max_gen_toks": 256, "do_sample": False}


def values_of_class(name: FunctionName) -> dict[str, Any]:
    """The keys of a task file that say the same as the class; raises UserError for one that cannot be read so."""
    path = file_of(f"{name.reference}.any", name.folder)
    if path is None:
        raise UserError(f"no Python file for '{name.reference}'", expected=f"module.Class beside {shown(name.folder)}")
    own = name.reference.rpartition(".")[2]
    try:
        body = ast.parse(path.read_bytes()).body
    except (SyntaxError, ValueError) as error:
        raise UserError(f"{shown(path)} is not valid Python", found=str(error)) from error
    found = next((node for node in body if isinstance(node, ast.ClassDef) and node.name == own), None)
    if found is None or "ConfigurableTask" not in {getattr(base, "id", "") for base in found.bases}:
        raise UserError(
            f"'{name.reference}' is no task class", expected="a class derived from ConfigurableTask", found=shown(path)
        )
    methods = {node.name: node for node in found.body if isinstance(node, ast.FunctionDef)}
    needed = ("doc_to_text", "doc_to_target", "construct_requests", "process_results", "aggregation")
    lacking = [method for method in needed if method not in methods]
    values = _dataset(found) | _splits(methods)
    if lacking or "dataset_path" not in values or not set(values) & {"validation_split", "test_split"}:
        missing = ", ".join(lacking) or "DATASET_PATH and the name of a split in validation_docs or test_docs"
        raise UserError(f"what the class '{own}' asks cannot be read", where=shown(path), expected=missing)
    functions = {key: _method(name, key) for key in needed[:-1]}
    metrics = [_metric(name, key, value) for key, value in _entries(methods["aggregation"])]
    return {**values, **functions, "generation_kwargs": _generation(methods["construct_requests"]), "metric_list": metrics}


def _method(name: FunctionName, method: str) -> FunctionName:
    return FunctionName(f"{name.reference}.{method}", name.folder)


def _dataset(found: ast.ClassDef) -> dict[str, Any]:
    """The constants that name the dataset."""
    keys = {"DATASET_PATH": "dataset_path", "DATASET_NAME": "dataset_name"}
    return {
        keys[target.id]: node.value.value
        for node in found.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name) and target.id in keys
    }


def _splits(methods: Mapping[str, ast.FunctionDef]) -> dict[str, Any]:
    """The splits that methods return as they are, of those that the class says it has."""
    found: dict[str, Any] = {}
    for split, key in SPLITS.items():
        stem = "training" if split == "train" else split
        says, gives = methods.get(f"has_{stem}_docs"), methods.get(f"{stem}_docs")
        has = says is not None and any(isinstance(value, ast.Constant) and value.value is True for value in _returned(says))
        for value in _returned(gives) if gives is not None and has else ():
            if isinstance(value, ast.Subscript) and isinstance(value.slice, ast.Constant):
                found[key] = value.slice.value
    return found


def _returned(function: ast.FunctionDef) -> Iterator[ast.expr]:
    yield from (node.value for node in ast.walk(function) if isinstance(node, ast.Return) and node.value is not None)


def _entries(function: ast.FunctionDef) -> Iterator[tuple[str, ast.expr]]:
    """The entries of the mapping that a method returns."""
    for value in _returned(function):
        for key, entry in zip(value.keys, value.values) if isinstance(value, ast.Dict) else ():
            if isinstance(key, ast.Constant) and isinstance(key.value, str):
                yield key.value, entry


def _metric(name: FunctionName, metric: str, entry: ast.expr) -> dict[str, Any]:
    """An entry of metric_list: a plain mean, or what the class's own mapping holds under the metric's name."""
    is_mean = getattr(entry, "attr", getattr(entry, "id", "")) == "mean"
    return {"metric": metric, "aggregation": "mean" if is_mean else _method(name, f"aggregation.{metric}")}


def _generation(function: ast.FunctionDef) -> dict[str, Any]:
    """How an answer is written, where the method says it in so many words; else lm-eval's default."""
    for node in ast.walk(function):
        if isinstance(node, ast.Dict):
            try:
                said = ast.literal_eval(node)
            except ValueError:
                continue
            if "until" in said:
                return dict(said)
    return dict(DEFAULT_GENERATION)
