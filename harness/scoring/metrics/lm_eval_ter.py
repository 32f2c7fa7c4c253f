"""Translation error rate of a corpus as lm-evaluation-harness computes it: sacrebleu's defaults.  Lower is better.

    METRICS.load("lm_eval_ter:ter").stats({"values": {"ter": ["a cat", "the cat"]}}, "a cat", lang="de")     # (1.0, 2.0)

A value is the pair of the reference, or a list of them, and the text that was written.  The number may be above 100.
"""

from functools import cache
from typing import Any

import numpy as np

from harness.scoring.metrics._corpus_texts import text_with_references
from harness.scoring.metrics._ratio import ratio
from harness.scoring.metrics._sacrebleu import VERSION, segment_statistics
from harness.scoring.metrics._task_values import DEFAULT, family

KEYS = ("ter",)
SIGNATURE = f"lm_eval_ter|sacrebleu|nrefs:var|case:lc|tok:tercom|norm:no|punct:yes|asian:no|version:{VERSION}"


@cache
def scorer() -> Any:
    """The TER of sacrebleu."""
    from sacrebleu.metrics.ter import TER

    return TER()


def _count(value: Any, name: str) -> tuple[float, float]:
    """Edits to the nearest reference, and words of the references in the mean."""
    given = text_with_references(value, name)
    edits, words = segment_statistics(scorer(), given.text, given.references)
    return float(edits), float(words)


def _total(totals: np.ndarray) -> dict[str, np.ndarray]:
    """Edits by words; edits without any words to be written are all wrong."""
    edits, words = totals[..., 0], totals[..., 1]
    return {"ter": np.where(words > 0, 100.0 * ratio(edits, words), np.where(edits > 0, 100.0, 0.0))}


named = family("lm_eval_ter", keys=KEYS, signature=SIGNATURE, count=_count, num_stats=2, total=_total)
prepare = named(DEFAULT).prepare
stats = named(DEFAULT).stats
combine = named(DEFAULT).combine

GOLDEN: tuple[dict[str, Any], ...] = (
    {
        "name": "two_sentences",
        "lang": "en",
        "predictions": [
            {"values": {"value": ["A cat sat on the mat.", "The cat sat on the mat."]}},
            {"values": {"value": ["In spring it rains a lot.", "It rains a lot in spring."]}},
        ],
        "golds": ["", ""],
        "scores": {"ter": 41.66666666666667},
    },
    {
        "name": "same_text",
        "lang": "de",
        "predictions": [{"values": {"value": ["Der Hund schläft im Garten.", "Der Hund schläft im Garten."]}}],
        "golds": [""],
        "scores": {"ter": 0.0},
    },
    {
        "name": "all_wrong",
        "lang": "en",
        "predictions": [{"values": {"value": ["xyz xyz xyz xyz xyz", "abc abc abc abc"]}}],
        "golds": [""],
        "scores": {"ter": 100.0},
    },
    {
        "name": "several_references",
        "lang": "fr",
        "predictions": [
            {"values": {"value": [["Un chat dort sur une table.", "Le chat est sur la table."], "Le chat dort sur la table."]}}
        ],
        "golds": [""],
        "scores": {"ter": 16.666666666666664},
    },
    {
        "name": "chinese_is_one_word",
        "lang": "zh",
        "predictions": [{"values": {"value": ["今天天气不错，我们去公园吧。", "今天天气很好，我们去公园。"]}}],
        "golds": [""],
        "scores": {"ter": 100.0},
    },
    {
        "name": "empty_text",
        "lang": "en",
        "predictions": [
            {"values": {"value": ["Good night.", ""]}},
            {"values": {"value": ["The train leaves at ten o'clock today.", "The train leaves at ten o'clock today."]}},
        ],
        "golds": ["", ""],
        "scores": {"ter": 22.22222222222222},
    },
    {
        "name": "longer_than_the_reference",
        "lang": "en",
        "predictions": [{"values": {"value": ["Good night.", "Good night, and sleep well until the morning comes."]}}],
        "golds": [""],
        "scores": {"ter": 400.0},
    },
    {
        "name": "case_punctuation_numbers",
        "lang": "en",
        "predictions": [{"values": {"value": ["The price was $3,000.50, in May.", "THE price was $3,000.50 (in May)."]}}],
        "golds": [""],
        "scores": {"ter": 50.0},
    },
)
