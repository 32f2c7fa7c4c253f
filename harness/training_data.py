"""Training and validation rows of a training stage as features.

data = read_training_data(stage, machine=machine, tokenizer=adapter.tokenizer, seed=1)
data.items[17]        # the features that belong together: one window, or the two sides of a pair
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.batching import NO_LABEL
from harness.cells import encode_all
from harness.data.examples import load_examples
from harness.data.overlap import example_hashes, without
from harness.devices import Machine
from harness.errors import UserError
from harness.processes import rank
from harness.protocols import Feature
from harness.randomness import generator
from harness.registry import TASK_TYPES
from harness.specs.portable import revive
from harness.specs.recipe import Training
from harness.specs.task import TaskSpec


@dataclass(frozen=True, kw_only=True)
class TrainingData:
    """What one component of a training stage trains on and, where rows choose the checkpoint, is selected on."""

    name: str
    spec: TaskSpec
    options: Any
    module: Any
    "The task type."
    items: list[list[Feature]]
    "Training items: features that must be in the same batch."
    item_ids: list[str]
    "Example id of each item, for randomness that belongs to it."
    num_examples: int
    num_truncated_examples: int
    num_removed: int
    "Rows left out because test rows hold the same text."
    validation_spec: TaskSpec | None
    validation: Sequence[Any]
    validation_features: list[Feature]


def revived_options(module: Any, component: Mapping[str, Any]) -> Any:
    """The options object of a stage's arguments."""
    return module.Options.model_validate(component["options"])


def read_training_data(stage: Any, *, machine: Machine, tokenizer: Any, training: Training) -> TrainingData:
    """Load, sample, filter and encode the rows of a training stage's one component."""
    (component,) = stage.args["tasks"]
    name, seed = component["task"], stage.args["seed"]
    spec = revive(name, component["spec"])
    module = TASK_TYPES.load(spec.type)
    options = revived_options(module, component)
    loaded = load_examples(
        spec,
        split="train",
        langs=spec.train_languages,
        place=machine.place,
        task_folder=machine.task_folders.get(name),
        progress=machine.progress and not rank(),
    )
    examples, num_removed = without(loaded.examples, _excluded(component, machine), spec.type)
    if training.max_examples is not None and training.max_examples < len(examples):
        chosen = generator("training rows", name, seed=seed).permutation(len(examples))[: training.max_examples]
        examples = [examples[i] for i in sorted(chosen)]
    if not examples:
        raise UserError(f"task '{name}' has no training rows", where=f"training stage {stage.name}", found=loaded.origin)
    note = name if machine.progress and not rank() else ""
    features = encode_all(module, examples, spec=spec, tokenizer=tokenizer, options=options, train=True, note=note)
    items = _items(features, grouped=getattr(module, "GROUPED", module.WHOLE_BATCH_LOSS), usable=_usable(module))
    if not items:
        raise UserError(f"no training row of '{name}' can be encoded with a label", where=f"training stage {stage.name}")
    validation_spec, validation, validation_features = _validation(component, module, stage, machine, tokenizer, training)
    return TrainingData(
        name=name,
        spec=spec,
        options=options,
        module=module,
        items=items,
        item_ids=[f"{examples[item[0].example].id}/{item[0].part}" for item in items],
        num_examples=len(examples),
        num_truncated_examples=len({f.example for f in features if f.num_truncated}),
        num_removed=num_removed,
        validation_spec=validation_spec,
        validation=validation,
        validation_features=validation_features,
    )


def _excluded(component: Mapping[str, Any], machine: Machine) -> set[str]:
    """Hashes of the test items that --remove_overlap keeps out of training."""
    hashes: set[str] = set()
    for test in component.get("exclude", ()):
        spec = revive(test["task"], test["spec"])
        folder = machine.task_folders.get(spec.task)
        for lang in test["data"]:
            found = load_examples(spec, split="test", langs=[lang], place=machine.place, task_folder=folder)
            hashes.update(example_hashes(found.examples, spec.type))
    return hashes


def _usable(module: Any) -> Callable[[Feature], bool]:
    return lambda feature: module.WHOLE_BATCH_LOSS or feature.labels is not None


def _items(features: Sequence[Feature], *, grouped: bool, usable: Callable[[Feature], bool]) -> list[list[Feature]]:
    """Features as training items: alone, as the official scripts shuffle windows and pieces, or by example."""
    if not grouped:
        return [[feature] for feature in features if usable(feature)]
    groups: dict[int, list[Feature]] = {}
    for feature in features:
        groups.setdefault(feature.example, []).append(feature)
    return list(groups.values())


def label_entropy(items: Sequence[Sequence[Feature]]) -> float:
    """Entropy in nats of the classes that the labels name: the loss of a model that knows their shares and nothing else."""
    counts: Counter[int] = Counter()
    for feature in (feature for item in items for feature in item):
        labels = feature.labels if isinstance(feature.labels, list) else [feature.labels]
        counts.update(label for label in labels if isinstance(label, int) and label != NO_LABEL)
    total = sum(counts.values())
    return -sum(count / total * math.log(count / total) for count in counts.values()) if len(counts) > 1 else 0.0


def _validation(
    component: Mapping[str, Any], module: Any, stage: Any, machine: Machine, tokenizer: Any, training: Training
) -> tuple[TaskSpec | None, Sequence[Any], list[Feature]]:
    """English rows that choose the checkpoint, the first `eval_examples` of them."""
    if not component.get("validation"):
        return None, [], []
    spec = revive(component["validation"]["task"], component["validation"]["spec"])
    loaded = load_examples(
        spec,
        split="validation",
        langs=spec.train_languages,
        place=machine.place,
        task_folder=machine.task_folders.get(spec.task),
    )
    examples = loaded.examples[: training.eval_examples]
    options = revived_options(module, component)
    return spec, examples, encode_all(module, examples, spec=spec, tokenizer=tokenizer, options=options, train=False)
