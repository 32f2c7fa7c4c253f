"""The kind of value that each key of a task file of lm-evaluation-harness takes; one of another kind is a mistake with its line.

    values = of_the_right_kind(values, document, errors)      # without what is not; the rest of the reading can believe it

What lm-eval itself runs over in silence (a number where a text is wanted) is a mistake here: it is hardly what was meant.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from harness.api.errors import UserError
from harness.planning.catalog.lm_eval_files.known_keys import TOKEN_LIMITS
from harness.planning.catalog.lm_eval_files.yaml_reader import FunctionName
from harness.specs.loader import Document
from harness.specs.yaml_nodes import KeyPath


class Shape(NamedTuple):
    """A kind of value."""

    said: str
    "In words."
    fits: Callable[[Any], bool]


def _is_function(value: Any) -> bool:
    return isinstance(value, FunctionName)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and not _is_function(value)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return _is_whole(value) or isinstance(value, float)


def _is_mapping(value: Any) -> bool:
    return isinstance(value, Mapping) and all(isinstance(key, str) for key in value)


TEXT = Shape("a text", _is_text)
NAME = Shape("a text (in quotes, where YAML takes it for something else)", lambda value: _is_text(value) or _is_number(value))
"A configuration called 2016 is meant as it is written; one called no is false to YAML."
WHOLE = Shape("a whole number of at least 0", lambda value: _is_whole(value) and value >= 0)
NUMBER = Shape("a number", _is_number)
FLAG = Shape("true or false", lambda value: isinstance(value, bool))
FUNCTION = Shape("a function: !function module.name", _is_function)
MAPPING = Shape("a mapping `key: value`", _is_mapping)
MAPPINGS = Shape(
    "a list of mappings", lambda value: _is_mapping(value) or (isinstance(value, list) and all(map(_is_mapping, value)))
)
TEXTS = Shape(
    "a text or a list of texts", lambda value: _is_text(value) or (isinstance(value, list) and all(map(_is_text, value)))
)
TEMPLATE = Shape("a template or a function", lambda value: isinstance(value, str))
QUESTION = Shape("a template, the number of a choice, or a function", lambda value: isinstance(value, str) or _is_whole(value))
ANSWER = Shape(
    "a template, the number of a choice, a list of answers, or a function",
    lambda value: isinstance(value, str | list) or _is_number(value),
)
CHOICES = Shape(
    "a template, a list or a mapping of texts, or a function",
    lambda value: (
        isinstance(value, str)
        or (
            isinstance(value, list | dict)
            and bool(value)
            and all(map(_is_text, value.values() if isinstance(value, dict) else value))
        )
    ),
)
SAMPLES = Shape(
    "a list of rows, or a function", lambda value: _is_function(value) or (isinstance(value, list) and MAPPINGS.fits(value))
)
_TURNS = {
    "doc_to_text": QUESTION, "doc_to_target": ANSWER, "doc_to_choice": CHOICES, "gen_prefix": TEXT, "target_delimiter": TEXT,
    "fewshot_delimiter": TEXT, "process_docs": FUNCTION,
}  # fmt: skip
SHAPES: Mapping[str, Shape] = {
    **_TURNS, "task": TEXT, "task_alias": NAME, "tag": TEXTS, "dataset_path": TEXT, "dataset_name": NAME,
    "dataset_kwargs": MAPPING, "training_split": TEXT, "validation_split": TEXT, "test_split": TEXT, "fewshot_split": TEXT,
    "process_results": FUNCTION, "custom_dataset": FUNCTION, "unsafe_code": FLAG, "description": TEXT,
    "fewshot_config": MAPPING, "num_fewshot": WHOLE, "metric_list": MAPPINGS, "output_type": TEXT,
    "generation_kwargs": MAPPING, "repeats": WHOLE, "filter_list": MAPPINGS, "should_decontaminate": FLAG,
    "doc_to_decontamination_query": TEMPLATE,
}  # fmt: skip
"Of the keys of a task; null stands for none of them."
INNER: Mapping[str, Mapping[str, Shape]] = {
    "fewshot_config": {**_TURNS, "sampler": TEMPLATE, "split": TEXT, "samples": SAMPLES},
    "generation_kwargs": {
        "until": TEXTS, "do_sample": FLAG, "temperature": NUMBER, "num_beams": WHOLE, **dict.fromkeys(TOKEN_LIMITS, WHOLE),
    },
    "dataset_kwargs": {"revision": TEXT},
}  # fmt: skip
"Of the keys below a key."


def of_the_right_kind(values: Mapping[str, Any], document: Document, errors: list[UserError]) -> dict[str, Any]:
    """The values without those of another kind than their key takes, for which a mistake is noted."""
    found = _fitting(values, SHAPES, (), document, errors)
    for key, shapes in INNER.items():
        if isinstance(found.get(key), Mapping):
            found[key] = _fitting(found[key], shapes, (key,), document, errors)
    return found


def _fitting(
    values: Mapping[str, Any], shapes: Mapping[str, Shape], path: KeyPath, document: Document, errors: list[UserError]
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        shape = shapes.get(key)
        if shape is None or value is None or shape.fits(value):
            found[key] = value
            continue
        where = document.where((*path, key))
        errors.append(UserError(f"'{key}' is of another kind", where=where, expected=shape.said, found=repr(value)[:80]))
    return found
