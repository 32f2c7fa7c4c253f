"""The way to sacrebleu: its version for signatures, and the statistics that it takes of one example.

    VERSION                                                              # '2.6.0': the one that is installed
    from sacrebleu.metrics import BLEU
    segment_statistics(BLEU(tokenize="13a"), "the cat", ["a cat"])        # [2, 2, 1, 0, 0, 0, 2, 1, 0, 0]

The package itself is imported when a text is scored and not before.
"""

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

VERSION = version("sacrebleu")


def segment_statistics(metric: Any, text: str, references: Sequence[str]) -> list[int]:
    """What a BLEU or CHRF of sacrebleu adds up over a corpus, for one text and all its references."""
    # The method behind both `sentence_score` and `corpus_score`; the public ones give scores, and of chrF no statistics.
    found: list[int] = metric._extract_corpus_statistics([text], [[reference] for reference in references])[0]
    return found
