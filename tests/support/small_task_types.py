"""The task types that are trained with a head, and examples of each from rows whose columns are named as its fields.

task, examples = examples_of("tagging", [{"tokens": ["the", "cat"], "tags": ["X", "X"]}])
"""

import inspect

from harness.api.protocols import TaskType
from harness.specs.task import TaskSpec
from harness.task_types import classification, masked_lm, multiple_choice, retrieval, span_qa, tagging

TYPES = {
    "classification": classification,
    "multiple_choice": multiple_choice,
    "tagging": tagging,
    "span_qa": span_qa,
    "retrieval": retrieval,
    "masked_lm": masked_lm,
}
LABELS = {
    "classification": ("contradiction", "entailment", "neutral"),
    "multiple_choice": ("A", "B", "C", "D"),
    "tagging": ("PROPN", "PUNCT", "VERB", "X"),
}


def spec(kind: str, **changes) -> TaskSpec:
    fields = {name.rstrip("?"): name.rstrip("?") for name in TYPES[kind].FIELDS}
    return TaskSpec(task="t", type=kind, description="d", fields=fields, labels=LABELS.get(kind, ()), **changes)


def examples_of(kind: str, rows, **changes):
    task = spec(kind, **changes)
    built = [TYPES[kind].build(row, task=task, lang="de", row_id=str(i)) for i, row in enumerate(rows)]
    return task, [example for example in built if example is not None]


def assert_keeps_contract(module):
    """A task type has all that its protocol names, functions with the very same parameters, and says what its options mean."""
    methods = {name: member for name, member in inspect.getmembers(TaskType, inspect.isfunction) if not name.startswith("_")}
    assert {"build", "encode", "decode"} <= set(methods)
    for name, member in methods.items():
        wanted = [(p.name, p.kind) for p in inspect.signature(member).parameters.values()][1:]  # without self
        assert [(p.name, p.kind) for p in inspect.signature(getattr(module, name)).parameters.values()] == wanted, name
    assert [name for name in TaskType.__annotations__ if getattr(module, name, None) is None] == []
    assert [name for name, field in module.Options.model_fields.items() if not field.description] == []
    assert module.ROUTES
    assert module.SAMPLES
    fields = {key.rstrip("?") for key in module.FIELDS}
    assert [row for row in module.SAMPLES if not fields >= set(row)] == []
