"""What lm-eval renders without a word though it is hardly meant: columns in single braces, and nulls as the word None.

for doubt in template_doubts(renderer, examples): ...          # 'doc_to_text: {p} is written as it stands; ...'

The texts stay those of lm-eval, so that scores can be compared; here they are told, and rows with a null are noted on the board.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.data.templates.compiled import braces_doubt, nulls_written, single_braces
from harness.task_types.lm_eval_harness.templates import Row, RowRenderer

TEMPLATES = ("description", "doc_to_text", "doc_to_target", "doc_to_choice", "gen_prefix")


def template_doubts(renderer: RowRenderer, examples: Sequence[Any]) -> list[str]:
    """Every doubt about the templates of a task, with the key of its file first."""
    doubts = []
    for key in TEMPLATES:
        found = [name for text in _texts(getattr(renderer.config, key)) for name in single_braces(text, renderer.columns)]
        if found:
            doubts.append(f"{key}: {braces_doubt(list(dict.fromkeys(found)))}")
    number = sum(writes_null(renderer, example.row) for example in examples)
    if number:
        doubts.append(f"{number:,} of {len(examples):,} rows have a null that is written as the word None, as lm-eval does")
    return doubts


def writes_null(renderer: RowRenderer, row: Row) -> bool:
    """Whether the question or the choices of a row hold the word None in place of a value that it does not have."""
    if not _has_null(row):
        return False
    before = nulls_written()
    if isinstance(renderer.config.doc_to_text, str):
        renderer.text(row)
    if isinstance(renderer.config.doc_to_choice, str):
        renderer.choices(row)
    return nulls_written() > before


def _has_null(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(_has_null, value.values()))
    return any(map(_has_null, value)) if isinstance(value, list | tuple) else value is None


def _texts(value: Any) -> Iterator[str]:
    """The templates of a key: one, or those of a list or mapping."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | tuple | Mapping):
        for one in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(one)
