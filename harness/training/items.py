"""Training and validation rows of a training stage as features.

data = read_training_data(component, stage=stage, machine=machine, tokenizer=adapter.tokenizer, training=training)
data.items[17]        # the features that belong together: one window, or the two sides of a pair
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from harness.api.errors import UserError
from harness.api.protocols import Feature
from harness.api.randomness import generator
from harness.data.examples import load_examples
from harness.data.overlap import example_hashes, without
from harness.planning.fingerprints import file_of
from harness.planning.stage_arguments import head_name
from harness.prediction.batching import NO_LABEL
from harness.prediction.cell import Question, encode_all, route_module
from harness.runtime.machine import Machine
from harness.runtime.processes import rank
from harness.specs.portable import revive
from harness.specs.recipe import Training
from harness.specs.task import TaskSpec


@dataclass(frozen=True, kw_only=True)
class TrainingData:
    """What one component of a training stage trains on and, where rows choose the checkpoint, is selected on."""

    name: str
    head: str
    "Name of the head it trains."
    spec: TaskSpec
    options: Any
    module: Any
    "The task type, or its prompt route."
    question: Question
    "What the model is asked of validation rows."
    items: list[list[Feature]]
    "Training items: features that must be in the same batch."
    item_ids: list[str]
    "Example id of each item, for randomness that belongs to it."
    strata: tuple[int, ...]
    "Number of items by language, in their order."
    batch_size: int
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


def read_training_data(
    component: Mapping[str, Any],
    *,
    stage: Any,
    machine: Machine,
    tokenizer: Any,
    max_positions: int | None,
    training: Training,
) -> TrainingData:
    """Load, sample, filter and encode the rows of one component of a training stage."""
    name, seed = component["task"], stage.args["seed"]
    spec = revive(name, component["spec"])
    module = route_module(spec, component.get("prompt"), machine=machine, max_positions=max_positions)
    options = revived_options(module, component)
    loaded = load_examples(
        spec,
        split="train",
        langs=spec.train_languages,
        place=machine.place,
        task_folder=machine.task_folders.get(file_of(name)),
        progress=machine.progress and not rank(),
    )
    examples, num_removed = without(loaded.examples, _excluded(component, machine), spec.type)
    most = component.get("max_examples", training.max_examples)
    if most is not None and most < len(examples):
        chosen = generator("training rows", name, seed=seed).permutation(len(examples))[:most]
        examples = [examples[i] for i in sorted(chosen)]
    if not examples:
        raise UserError(f"task '{name}' has no training rows", where=f"training stage {stage.name}", found=loaded.origin)
    note = name if machine.progress and not rank() else ""
    features = encode_all(module, examples, spec=spec, tokenizer=tokenizer, options=options, train=True, note=note)
    items = _items(features, grouped=is_grouped(module), usable=_usable(module))
    if not items:
        raise UserError(f"no training row of '{name}' can be encoded with a label", where=f"training stage {stage.name}")
    validation_spec, validation, validation_features = _validation(component, module, machine, tokenizer, training)
    by_language = Counter(examples[item[0].example].lang for item in items)
    return TrainingData(
        name=name,
        head=head_name(component),
        spec=spec,
        options=options,
        module=module,
        question=Question.of(module, options, head=head_name(component), task=spec),
        items=items,
        item_ids=[f"{examples[item[0].example].id}/{item[0].part}" for item in items],
        strata=tuple(by_language[lang] for lang in spec.train_languages if by_language[lang]),
        batch_size=component.get("batch_size", training.batch_size),
        num_examples=len(examples),
        num_truncated_examples=len({f.example for f in features if f.num_truncated}),
        num_removed=num_removed,
        validation_spec=validation_spec,
        validation=validation,
        validation_features=validation_features,
    )


def is_grouped(module: Any) -> bool:
    """Whether the features of an example must be in the same forward pass, because its loss sets them against each other."""
    return bool(getattr(module, "GROUPED", module.WHOLE_BATCH_LOSS))


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
    return [group for group in groups.values() if any(usable(feature) for feature in group)]


def label_entropy(items: Sequence[Sequence[Feature]]) -> float:
    """Entropy in nats of the classes that the labels name: the loss of a model that knows their shares and nothing else."""
    counts: Counter[int] = Counter()
    for feature in (feature for item in items for feature in item):
        labels = feature.labels if isinstance(feature.labels, list) else [feature.labels]
        counts.update(label for label in labels if isinstance(label, int) and label != NO_LABEL)
    total = sum(counts.values())
    return -sum(count / total * math.log(count / total) for count in counts.values()) if len(counts) > 1 else 0.0


def options_entropy(items: Sequence[Sequence[Feature]]) -> float:
    """Mean over examples of ln(number of options): the loss of choosing blindly, in nats."""
    return math.fsum(math.log(len(item)) for item in items) / len(items)


def _in_turn(examples: Sequence[Any], *, num_sources: int) -> Sequence[Any]:
    """The first example of each source, then the second of each: the first few are then of all sources."""
    if num_sources < 2:
        return examples
    by_source: dict[str, list[Any]] = {}
    for example in examples:
        by_source.setdefault(example.id.partition(".")[0], []).append(example)  # ids begin with the number of their source
    return [example for turn in zip_longest(*by_source.values()) for example in turn if example is not None]


def _validation(
    component: Mapping[str, Any], module: Any, machine: Machine, tokenizer: Any, training: Training
) -> tuple[TaskSpec | None, Sequence[Any], list[Feature]]:
    """English rows that choose the checkpoint: the first `eval_examples`, of several sources in turn."""
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
    examples = _in_turn(loaded.examples, num_sources=len(spec.data.validation))[: training.eval_examples]
    options = revived_options(module, component)
    return spec, examples, encode_all(module, examples, spec=spec, tokenizer=tokenizer, options=options, train=False)
