"""The part of a task spec that a stage receives: what can change its result and nothing else.

args = portable(spec, split="test")      # hashed into the stage's key; descriptions, notes, metrics stay out
spec = revive("xnli", args)              # in the stage: a TaskSpec that knows no more than the key
"""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import ValidationError

from harness.api.errors import UserError
from harness.specs.task import TaskSpec

_CONTENT = ("type", "version", "fields", "labels", "labels_from", "label_values", "lm_eval")
Split = Literal["train", "validation", "test"]


def portable(spec: TaskSpec, *, split: Split, metrics: bool = False, prompt: bool = False) -> dict[str, Any]:
    """Type, fields, labels and one split of a task as JSON; metrics and score, and the prompt, only for stages that use them."""
    keys = set(_CONTENT) | ({"metrics", "score"} if metrics else set())
    if split != "test":
        keys.add("train_languages")
    if split == "train":
        keys.add("language_alpha")
    content = spec.model_dump(mode="json", include=keys, exclude_defaults=True)
    if prompt and spec.prompt:
        content["prompt"] = spec.prompt.model_dump(mode="json", exclude={"source"}, exclude_defaults=True)
    if spec.own_languages:
        content["own_languages"] = _own_languages(spec, split)
    sources = [source.model_dump(mode="json", exclude_defaults=True) for source in getattr(spec.data, split)]
    return {**content, "type": spec.type, "data": {split: sources}}


def _own_languages(spec: TaskSpec, split: Split) -> dict[str, Any]:
    """What is told of those languages of a split that the shipped table lacks: prompts and names of files say it."""
    codes = {*(spec.languages if split == "test" else spec.train_languages)}
    codes |= {source.beside.lang for source in getattr(spec.data, split) if source.beside}
    return {code: row.model_dump(mode="json", exclude_defaults=True) for code, row in spec.own_languages.items() if code in codes}


def revive(name: str, content: Mapping[str, Any]) -> TaskSpec:
    """The TaskSpec of a stage's arguments; raises UserError for what no stage was given."""
    try:
        return TaskSpec.model_validate({**content, "task": name, "description": "from a stage's arguments"})
    except (ValidationError, TypeError) as error:
        found = " ".join(str(error).split())[:200]
        raise UserError("a stage's arguments hold no task", where=f"task '{name}'", found=found) from error
