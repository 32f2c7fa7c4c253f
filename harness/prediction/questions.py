"""What a model is asked for the rows of a task, and the rows as features.

module = route_module(spec, args.prompt, machine=machine)        # the task type, or what asks it in words
question = question_of(module, options, head="xnli", asks=None)      # Question(head='xnli', pooling=None, asks=None)
features = encode_all(module, examples, spec=spec, tokenizer=tokenizer, options=options, train=False)
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, NamedTuple

from harness.api.abandoning import check_wanted
from harness.api.progress import progress_over
from harness.api.protocols import Feature, Pooling
from harness.api.registry import TASK_TYPES
from harness.runtime.machine import Machine
from harness.specs.prompt import PromptArgs
from harness.specs.task import TaskSpec

ENCODE_CHUNK = 1000
"Examples that a task type encodes in one call."


class Question(NamedTuple):
    """What an adapter is asked for a feature: one of its heads, a pooled vector, or an answer in words."""

    head: str | None
    pooling: Pooling | None
    asks: Literal["loglikelihood", "generate"] | None = None
    "What a request in words wants."


def question_of(module: Any, options: Any, *, head: str | None, asks: Literal["loglikelihood", "generate"] | None) -> Question:
    """The question of a task type or its prompt route (`asks`): pooled vectors where the type makes some."""
    if asks:
        return Question(None, None, asks)
    pooling = module.pools(options)
    return Question(None, pooling) if pooling else Question(head, None)


def route_module(
    task: TaskSpec,
    prompt: Mapping[str, Any] | None,
    *,
    machine: Machine,
    pool: Sequence[Any] = (),
    max_positions: int | None = None,
) -> Any:
    """A task's type, or with the `prompt` arguments of a stage what asks it in words."""
    module: Any = TASK_TYPES.load(task.type)
    if prompt is None:
        return module
    prompt_args = PromptArgs.model_validate(prompt)
    return module.prompt_route(task=task, prompt_args=prompt_args, pool=pool, machine=machine, max_positions=max_positions)


def encode_all(
    module: Any, examples: Sequence[Any], *, spec: TaskSpec, tokenizer: Any, options: Any, train: bool, note: str = ""
) -> list[Feature]:
    """Encode in chunks with a progress bar; `Feature.example` counts over all examples."""
    features: list[Feature] = []
    chunks = encoded_chunks(module, examples, spec=spec, tokenizer=tokenizer, options=options, train=train, note=note)
    for start, encoded in chunks:
        features += [replace(feature, example=feature.example + start) for feature in encoded] if start else encoded
    return features


def encoded_chunks(
    module: Any, examples: Sequence[Any], *, spec: TaskSpec, tokenizer: Any, options: Any, train: bool, note: str = ""
) -> Iterator[tuple[int, list[Feature]]]:
    """The features of each chunk of the examples, which count from the number given beside them."""
    starts = range(0, len(examples), ENCODE_CHUNK)
    for start in progress_over(starts, f"encode {note or spec.task}", unit="thousand row", shown=bool(note)):
        check_wanted()
        chunk = examples[start : start + ENCODE_CHUNK]
        yield start, module.encode(chunk, task=spec, tokenizer=tokenizer, options=options, train=train)
