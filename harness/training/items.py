"""Training and validation rows of a training stage as features.

how = {"tokenizer": adapter.tokenizer, "max_positions": adapter.max_positions, "training": training}
data = read_training_data(component, stage=stage, machine=machine, **how)
data.items[17]        # the features that belong together: one window, or the two sides of a pair
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from harness.api.errors import UserError
from harness.api.protocols import Feature
from harness.api.randomness import generator
from harness.api.registry import TASK_TYPES
from harness.data.examples import load_examples, readable_examples
from harness.data.overlap import example_hashes, without
from harness.data.row_errors import num_wrong
from harness.prediction.questions import Question, encode_all, question_of, route_module
from harness.prediction.vocabulary import check_english
from harness.runtime.arguments import ComponentArguments, TrainArguments, file_of
from harness.runtime.machine import Machine
from harness.runtime.processes import rank
from harness.runtime.stages import Stage
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
    unread_tests: Sequence[str]
    "Test rows that were to be kept out of training and could not be read, by task and language."
    validation_spec: TaskSpec | None
    validation: Sequence[Any]
    validation_features: list[Feature]


def read_training_data(
    component: ComponentArguments,
    *,
    stage: Stage[TrainArguments],
    machine: Machine,
    tokenizer: Any,
    max_positions: int | None,
    training: Training,
) -> TrainingData:
    """Load, sample, filter and encode the rows of one component of a training stage."""
    name, seed, spec = component.task, stage.args.seed, component.task_spec
    module = route_module(spec, component.prompt, machine=machine, max_positions=max_positions)
    options = module.Options.model_validate(component.options)
    loaded = load_examples(
        spec,
        split="train",
        langs=spec.train_languages,
        place=machine.place,
        task_folder=machine.task_folders.get(file_of(name)),
        progress=machine.progress and not rank(),
    )
    excluded, unread_tests = _excluded(component, machine)
    examples, num_removed = without(loaded.examples, excluded, spec.type)
    most = component.max_examples(training)
    if most is not None and most < len(examples):
        chosen = generator("training rows", name, seed=seed).permutation(len(examples))[:most]
        examples = [examples[i] for i in sorted(chosen)]
    if not examples:
        raise UserError(f"task '{name}' has no training rows", where=f"training stage {stage.name}", found=loaded.origin)
    kind = TASK_TYPES.load(spec.type)
    check_english(examples, kind=kind, tokenizer=tokenizer, where=f"training rows of '{name}'")
    note = name if machine.progress and not rank() else ""
    features = encode_all(module, examples, spec=spec, tokenizer=tokenizer, options=options, train=True, note=note)
    items = _items(features, whole_examples=module.EXAMPLES_ARE_ITEMS, usable=_usable(module))
    if not items:
        raise UserError(f"no training row of '{name}' can be encoded with a label", where=f"training stage {stage.name}")
    validation_spec, validation, validation_features = _validation(component, module, machine, tokenizer, training)
    by_language = Counter(examples[item[0].example].lang for item in items)
    return TrainingData(
        name=name,
        head=component.head_name,
        spec=spec,
        options=options,
        module=module,
        question=question_of(module, options, head=component.head_name, asks=spec.asks if component.prompt is not None else None),
        items=items,
        item_ids=[f"{examples[item[0].example].id}/{item[0].part}" for item in items],
        strata=tuple(by_language[lang] for lang in spec.train_languages if by_language[lang]),
        batch_size=component.batch_size(training),
        num_examples=len(examples),
        num_truncated_examples=len({f.example for f in features if f.num_truncated}),
        num_removed=num_removed,
        unread_tests=unread_tests,
        validation_spec=validation_spec,
        validation=validation,
        validation_features=validation_features,
    )


def _excluded(component: ComponentArguments, machine: Machine) -> tuple[set[str], list[str]]:
    """Hashes of the test items that --remove_overlap keeps out of training, and which test rows cannot be read: they cost only
    their own cells.
    """
    hashes: set[str] = set()
    unread: list[str] = []
    for test in component.exclude:
        spec = test.task_spec
        folder = machine.task_folders.get(spec.task)
        for lang in test.data:
            examples, wrong = readable_examples(spec, split="test", lang=lang, place=machine.place, task_folder=folder)
            hashes.update(example_hashes(examples, spec.type))
            if wrong:
                unread.append(f"{spec.task} in {lang} ({num_wrong(wrong)} wrong)" if examples else f"{spec.task} in {lang}")
    return hashes, unread


def _usable(module: Any) -> Callable[[Feature], bool]:
    return lambda feature: module.WHOLE_BATCH_LOSS or feature.labels is not None


def _items(features: Sequence[Feature], *, whole_examples: bool, usable: Callable[[Feature], bool]) -> list[list[Feature]]:
    """Features as training items: alone, as the official scripts shuffle windows and pieces, or by example."""
    if not whole_examples:
        return [[feature] for feature in features if usable(feature)]
    groups: dict[int, list[Feature]] = {}
    for feature in features:
        groups.setdefault(feature.example, []).append(feature)
    return [group for group in groups.values() if any(usable(feature) for feature in group)]


def _in_turn(examples: Sequence[Any], *, num_sources: int) -> Sequence[Any]:
    """The first example of each source, then the second of each: the first few are then of all sources."""
    if num_sources < 2:
        return examples
    by_source: dict[str, list[Any]] = {}
    for example in examples:
        by_source.setdefault(example.id.partition(".")[0], []).append(example)  # ids begin with the number of their source
    return [example for turn in zip_longest(*by_source.values()) for example in turn if example is not None]


def _validation(
    component: ComponentArguments, module: Any, machine: Machine, tokenizer: Any, training: Training
) -> tuple[TaskSpec | None, Sequence[Any], list[Feature]]:
    """English rows that choose the checkpoint: the first `eval_examples`, of several sources in turn."""
    if component.validation is None:
        return None, [], []
    spec = component.validation.task_spec
    loaded = load_examples(
        spec,
        split="validation",
        langs=spec.train_languages,
        place=machine.place,
        task_folder=machine.task_folders.get(spec.task),
    )
    examples = _in_turn(loaded.examples, num_sources=len(spec.data.validation))[: training.eval_examples]
    options = module.Options.model_validate(component.options)
    return spec, examples, encode_all(module, examples, spec=spec, tokenizer=tokenizer, options=options, train=False)
