"""chrF and chrF++ of a corpus, as sacrebleu computes them: F2 of character n-grams (of words too for chrF++).

    METRICS.load("chrf").stats("the cat sat", ["a cat sat"], lang="en")   # (text, reference, match) counts of 6 + 8 orders

Counting is sacrebleu's own code.  The formula is written for many totals at once and gives the same digits: it only divides,
multiplies and adds.  `score: [chrf.chrf_plus_plus]` in a task's YAML makes chrF++ its score.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from harness.scoring.metrics._ratio import ratio
from harness.scoring.metrics._references import generated, references
from harness.scoring.metrics._sacrebleu import VERSION, segment_statistics

KEYS = ("chrf", "chrf_plus_plus")
CHARACTERS, WORDS = 6, 2
"Longest n-grams of characters, and of words (chrF++ alone)."
SIGNATURE = (
    f"chrf|sacrebleu|nrefs:var|case:mixed|eff:yes|nc:{CHARACTERS}|nw:0 for chrf, {WORDS} for chrf_plus_plus|space:no"
    f"|version:{VERSION}"
)
_BETA_SQUARED = 4


@cache
def scorer(words: int) -> Any:
    """The CHRF of sacrebleu with n-grams of up to so many words."""
    from sacrebleu.metrics.chrf import CHRF

    return CHRF(char_order=CHARACTERS, word_order=words)


def stats(prediction: str | None, gold: Sequence[str] | Mapping[str, Any] | str, *, lang: str) -> list[int]:
    """Count n-grams of the text, of the nearest reference and of both, by order: 18 numbers for chrF, then 24 for chrF++.

    Each of the two takes the reference that is nearest by its own measure, the first among equals.  A missing text is empty.
    """
    text, wanted = generated(prediction) or "", references(gold, lang=lang).texts
    return [count for words in (0, WORDS) for count in segment_statistics(scorer(words), text, wanted)]


def combine(totals: np.ndarray) -> dict[str, np.ndarray]:
    """Turn totals [..., 42] into chrF and chrF++ [...] (0-100)."""
    split = 3 * CHARACTERS
    return {"chrf": _f_score(totals[..., :split]), "chrf_plus_plus": _f_score(totals[..., split:])}


def _f_score(counts: np.ndarray) -> np.ndarray:
    """F2 [...] in percent of counts [..., 3 * orders]; precision and recall are means over the orders that both sides have."""
    counts = np.asarray(counts, dtype=np.float64)
    text, reference, match = (counts[..., side::3] for side in range(3))
    both = (text > 0) & (reference > 0)
    num_orders = both.sum(axis=-1)
    precision, recall = (ratio(_sum(np.where(both, ratio(match, side), 0.0)), num_orders) for side in (text, reference))
    return 100 * ratio((1 + _BETA_SQUARED) * precision * recall, _BETA_SQUARED * precision + recall)


def _sum(values: np.ndarray) -> np.ndarray:
    """Sum over the last axis from left to right: numpy's own order of adding would change the last digits."""
    total = np.zeros(values.shape[:-1])
    for part in np.moveaxis(values, -1, 0):
        total = total + part
    return np.asarray(total)


GOLDEN: tuple[dict[str, Any], ...] = (
    {
        "name": "two_sentences",
        "lang": "en",
        "predictions": ["The cat sat on the mat.", "It rains a lot in spring."],
        "golds": [["A cat sat on the mat."], ["In spring it rains a lot."]],
        "scores": {"chrf": 78.53017003377578, "chrf_plus_plus": 76.01921776842711},
    },
    {
        "name": "same_text",
        "lang": "de",
        "predictions": ["Der Hund schläft im Garten."],
        "golds": [["Der Hund schläft im Garten."]],
        "scores": {"chrf": 100.0, "chrf_plus_plus": 100.0},
    },
    {
        "name": "all_wrong",
        "lang": "en",
        "predictions": ["abc abc abc abc"],
        "golds": [["xyz xyz xyz xyz xyz"]],
        "scores": {"chrf": 0.0, "chrf_plus_plus": 0.0},
    },
    {
        "name": "several_references",
        "lang": "fr",
        "predictions": ["Le chat dort sur la table.", "Il pleut."],
        "golds": [
            ["Un chat dort sur une table.", "Le chat est sur la table."],
            ["Il pleut beaucoup.", "Il pleut.", "La pluie tombe."],
        ],
        "scores": {"chrf": 78.15925933527275, "chrf_plus_plus": 79.24895516534932},
    },
    {
        "name": "no_match_of_four_words",
        "lang": "es",
        "predictions": ["la casa grande y roja de mi hermana"],
        "golds": [["la casa roja y grande de mi hermana mayor"]],
        "scores": {"chrf": 57.611929789789414, "chrf_plus_plus": 59.385270293604854},
    },
    {
        "name": "shorter_than_four_words",
        "lang": "en",
        "predictions": ["good morning"],
        "golds": [["good morning"]],
        "scores": {"chrf": 100.0, "chrf_plus_plus": 100.0},
    },
    {
        "name": "empty_and_missing",
        "lang": "en",
        "predictions": ["", "The train leaves at ten o'clock today.", None],
        "golds": [["Good night."], ["The train leaves at ten o'clock today."], ["Where is it?"]],
        "scores": {"chrf": 71.49529457013077, "chrf_plus_plus": 68.97743760113445},
    },
    {
        "name": "empty_reference",
        "lang": "en",
        "predictions": ["One two three four five.", " "],
        "golds": [["One two three four six."], [""]],
        "scores": {"chrf": 76.31899302722726, "chrf_plus_plus": 75.1637282734869},
    },
    {
        "name": "case_punctuation_numbers",
        "lang": "en",
        "predictions": ["THE price was $3,000.50 (in May)."],
        "golds": [["The price was $3,000.50, in May."]],
        "scores": {"chrf": 69.41913881909005, "chrf_plus_plus": 59.90554205640027},
    },
    {
        "name": "chinese",
        "lang": "zh",
        "predictions": ["今天天气很好，我们去公园。"],
        "golds": [["今天天气不错，我们去公园吧。"]],
        "scores": {"chrf": 43.64531187729547, "chrf_plus_plus": 37.41026732339612},
    },
    {
        "name": "japanese",
        "lang": "ja",
        "predictions": ["今日は天気がいいです。"],
        "golds": [["今日はとても天気がいい。", "本日は天気がいいです。"]],
        "scores": {"chrf": 87.72426647426647, "chrf_plus_plus": 75.1922284065141},
    },
    {
        "name": "korean",
        "lang": "ko",
        "predictions": ["오늘은 날씨가 좋습니다."],
        "golds": [["오늘 날씨가 참 좋습니다."]],
        "scores": {"chrf": 40.77320827320827, "chrf_plus_plus": 41.756977109497655},
    },
    {
        "name": "thai",
        "lang": "th",
        "predictions": ["วันนี้อากาศดีมาก"],
        "golds": [["วันนี้อากาศดี"]],
        "scores": {"chrf": 94.48598672137443, "chrf_plus_plus": 80.98798861832095},
    },
    {
        "name": "arabic_and_blanks_at_the_end",
        "lang": "ar",
        "predictions": ["الطقس جميل اليوم في المدينة \n"],
        "golds": [["الطقس اليوم جميل في المدينة"]],
        "scores": {"chrf": 61.97608921293133, "chrf_plus_plus": 62.107066909698496},
    },
    {
        "name": "hindi",
        "lang": "hi",
        "predictions": ["आज मौसम बहुत अच्छा है।"],
        "golds": [["आज मौसम अच्छा है ।"]],
        "scores": {"chrf": 70.65871542783363, "chrf_plus_plus": 63.758766560226185},
    },
    {
        "name": "english_text_in_the_cell_of_another_language",
        "lang": "zh",
        "predictions": ["The cat sat on the mat."],
        "golds": [{"lang": "en", "texts": ["The cat sat on a mat."]}],
        "scores": {"chrf": 71.42247563033848, "chrf_plus_plus": 72.65910428863748},
    },
)
