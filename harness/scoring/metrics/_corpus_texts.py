"""What the corpus metrics of generated text of lm-evaluation-harness share: how their values are read and counted.

    named = corpus_family("lm_eval_bleu", bleu, key="bleu", signature=SIGNATURE, num_stats=10)

A value is the pair of the reference, or a list of them, and the text that was written.  The statistics are those of this
project's own metric for English, whose settings are the defaults of sacrebleu.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from harness.api.errors import UserError
from harness.scoring.metrics._task_values import CountedValueMetric, family


def corpus_family(name: str, metric: Any, *, key: str, signature: str, num_stats: int) -> Callable[[str], CountedValueMetric]:
    """The family `name` whose values are counted and summed up by a metric module of this package, of which one key is kept."""

    def count(value: Any, value_name: str) -> list[float]:
        given = text_with_references(value, value_name)
        return [float(number) for number in metric.stats(given.text, given.references, lang="en")]

    def total(totals: np.ndarray) -> dict[str, np.ndarray]:
        return {key: metric.combine(totals)[key]}

    return family(name, keys=(key,), signature=signature, count=count, num_stats=num_stats, total=total)


class TextWithReferences(NamedTuple):
    """A generated text and the texts that would have been right."""

    text: str
    references: tuple[str, ...]


def text_with_references(value: Any, name: str) -> TextWithReferences:
    """A value that is the pair of one reference or several and a text; raises UserError for anything else."""
    pair = value if isinstance(value, list | tuple) and len(value) == 2 else (None, None)
    references = (pair[0],) if isinstance(pair[0], str) else pair[0]
    text = pair[1][0] if isinstance(pair[1], list | tuple) and len(pair[1]) == 1 else pair[1]
    if not isinstance(text, str) or not isinstance(references, list | tuple) or not all(isinstance(r, str) for r in references):
        raise UserError(f"'{name}' is no pair of a reference and a text", found=f"{value!r:.80}")
    return TextWithReferences(text, tuple(references))
