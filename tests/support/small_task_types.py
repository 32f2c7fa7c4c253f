"""The task types that are trained with a head, and examples of each from rows whose columns are named as its fields.

task, examples = examples_of("tagging", [{"tokens": ["the", "cat"], "tags": ["X", "X"]}])
"""

import inspect

from harness.api.protocols import Asks, Trains
from harness.api.registry import TASK_TYPES
from harness.specs.model import field_docs
from harness.specs.task import TaskSpec
from harness.task_types._protocol import ReadsRows, TaskType

ALL = {kind: TASK_TYPES.load(kind) for kind in TASK_TYPES.names()}
TYPES = {kind: module for kind, module in ALL.items() if module.TRAINS and module.ROUTES[0] != "prompt"}
LABELS = {
    "classification": ("contradiction", "entailment", "neutral"),
    "multiple_choice": ("A", "B", "C", "D"),
    "tagging": ("PROPN", "PUNCT", "VERB", "X"),
}


def spec(kind: str, **changes) -> TaskSpec:
    fields = {name.rstrip("?"): name.rstrip("?") for name in TYPES[kind].FIELDS}
    own = {row["label"] for row in TYPES[kind].SAMPLES if isinstance(row.get("label"), str)}
    labels = LABELS.get(kind) or tuple(sorted(own))
    return TaskSpec(task="t", type=kind, description="d", fields=fields, labels=labels, **changes)


def examples_of(kind: str, rows, **changes):
    task = spec(kind, **changes)
    built = [TYPES[kind].build(row, task=task, lang="de", row_id=str(i)) for i, row in enumerate(rows)]
    return task, [example for example in built if example is not None]


def assert_keeps_contract(module):
    """A task type has all that its protocols name, functions with the very same parameters, and says what its options mean."""
    protocols = [TaskType, *([] if module.documents else [ReadsRows])]
    protocols += [Asks] if module.ROUTES[0] != "prompt" else []
    protocols += [Trains] if module.TRAINS and module.ROUTES[0] != "prompt" else []
    for protocol in protocols:
        methods = [pair for pair in inspect.getmembers(protocol, inspect.isfunction) if not pair[0].startswith("_")]
        assert methods
        for name, member in methods:
            wanted = [(p.name, p.kind) for p in inspect.signature(member).parameters.values()][1:]  # without self
            assert [(p.name, p.kind) for p in inspect.signature(getattr(module, name)).parameters.values()] == wanted, name
        assert [name for name in protocol.__annotations__ if getattr(module, name, None) is None] == []
    assert set(field_docs(module.Options)) == set(module.Options.model_fields)
    assert module.ROUTES
    fields = {key.rstrip("?") for key in module.FIELDS}
    assert [row for row in module.SAMPLES if not fields >= set(row)] == []
