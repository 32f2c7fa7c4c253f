"""BLEU of a corpus, as sacrebleu computes it, with the tokenizer that suits the language of the texts.

    METRICS.load("bleu").stats("the cat sat", ["a cat sat"], lang="en")   # lengths, matches and totals of the 1- to 4-grams

Tokenisation, counting and formula are sacrebleu's own code.  What it takes Japanese and Korean apart with are dictionaries of
their own; here, as in the languages for which it has nothing, each character is a token instead, and the signature says so.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from harness.api.errors import UserError
from harness.scoring.metrics._references import generated, references
from harness.scoring.metrics._sacrebleu import VERSION, segment_statistics

KEYS = ("bleu",)
BY_CHARACTER = ("ja", "km", "ko", "lo", "my", "th")
NO_TOKENS = ("bo", "dz", "shn", "yue")
"Written without spaces, and with nothing in sacrebleu that takes them apart: whole sentences would count as words."
SIGNATURE = (
    f"bleu|sacrebleu|nrefs:var|case:mixed|eff:no|tok:zh for zh, char for {' '.join(BY_CHARACTER)}, 13a for all other languages"
    f"|smooth:exp|version:{VERSION}"
)


def tokenizer(lang: str) -> str:
    """The name of sacrebleu's tokenizer for a language; raises UserError for one that it cannot take apart."""
    if lang in NO_TOKENS:
        raise UserError(f"bleu cannot take '{lang}' apart, which has no spaces between words", todo="take chrf")
    return "zh" if lang == "zh" else "char" if lang in BY_CHARACTER else "13a"


@cache
def scorer(name: str = "13a") -> Any:
    """The BLEU of sacrebleu with one of its tokenizers."""
    from sacrebleu.metrics.bleu import BLEU

    return BLEU(tokenize=name)


def stats(prediction: str | None, gold: Sequence[str] | Mapping[str, Any] | str, *, lang: str) -> list[int]:
    """Count tokens of the text, of the nearest reference, and matching and all n-grams (10 numbers); a missing text is empty."""
    wanted = references(gold, lang=lang)
    return segment_statistics(scorer(tokenizer(wanted.lang)), generated(prediction) or "", wanted.texts)


def combine(totals: np.ndarray) -> dict[str, np.ndarray]:
    """Turn totals [..., 10] into BLEU [...] in percent; texts equal to their references can give 100.00000000000004."""
    # Sacrebleu's formula row by row (12 microseconds each): logarithms of numpy differ from its own in the last digits.
    metric = scorer()  # the formula is the same for every tokenizer
    rows = np.asarray(totals, dtype=np.float64)
    scores = [metric._compute_score_from_stats(row).score for row in rows.reshape(-1, rows.shape[-1]).tolist()]
    return {"bleu": np.array(scores, dtype=np.float64).reshape(rows.shape[:-1])}


GOLDEN: tuple[dict[str, Any], ...] = (
    {
        "name": "two_sentences",
        "lang": "en",
        "predictions": ["The cat sat on the mat.", "It rains a lot in spring."],
        "golds": [["A cat sat on the mat."], ["In spring it rains a lot."]],
        "scores": {"bleu": 54.14341926669983},
    },
    {
        "name": "same_text",
        "lang": "de",
        "predictions": ["Der Hund schläft im Garten."],
        "golds": [["Der Hund schläft im Garten."]],
        "scores": {"bleu": 100.00000000000004},
    },
    {
        "name": "all_wrong",
        "lang": "en",
        "predictions": ["abc abc abc abc"],
        "golds": [["xyz xyz xyz xyz xyz"]],
        "scores": {"bleu": 0.0},
    },
    {
        "name": "several_references",
        "lang": "fr",
        "predictions": ["Le chat dort sur la table.", "Il pleut."],
        "golds": [
            ["Un chat dort sur une table.", "Le chat est sur la table."],
            ["Il pleut beaucoup.", "Il pleut.", "La pluie tombe."],
        ],
        "scores": {"bleu": 63.89431042462723},
    },
    {
        "name": "no_match_of_four_words",
        "lang": "es",
        "predictions": ["la casa grande y roja de mi hermana"],
        "golds": [["la casa roja y grande de mi hermana mayor"]],
        "scores": {"bleu": 25.655541222096613},
    },
    {
        "name": "shorter_than_four_words",
        "lang": "en",
        "predictions": ["good morning"],
        "golds": [["good morning"]],
        "scores": {"bleu": 0.0},
    },
    {
        "name": "empty_and_missing",
        "lang": "en",
        "predictions": ["", "The train leaves at ten o'clock today.", None],
        "golds": [["Good night."], ["The train leaves at ten o'clock today."], ["Where is it?"]],
        "scores": {"bleu": 41.686201967850856},
    },
    {
        "name": "empty_reference",
        "lang": "en",
        "predictions": ["One two three four five.", " "],
        "golds": [["One two three four six."], [""]],
        "scores": {"bleu": 53.7284965911771},
    },
    {
        "name": "case_punctuation_numbers",
        "lang": "en",
        "predictions": ["THE price was $3,000.50 (in May)."],
        "golds": [["The price was $3,000.50, in May."]],
        "scores": {"bleu": 32.46679154750989},
    },
    {
        "name": "chinese",
        "lang": "zh",
        "predictions": ["今天天气很好，我们去公园。"],
        "golds": [["今天天气不错，我们去公园吧。"]],
        "scores": {"bleu": 54.844980922047604},
    },
    {
        "name": "japanese",
        "lang": "ja",
        "predictions": ["今日は天気がいいです。"],
        "golds": [["今日はとても天気がいい。", "本日は天気がいいです。"]],
        "scores": {"bleu": 96.71682101338351},
    },
    {
        "name": "korean",
        "lang": "ko",
        "predictions": ["오늘은 날씨가 좋습니다."],
        "golds": [["오늘 날씨가 참 좋습니다."]],
        "scores": {"bleu": 51.56626918239823},
    },
    {
        "name": "thai",
        "lang": "th",
        "predictions": ["วันนี้อากาศดีมาก"],
        "golds": [["วันนี้อากาศดี"]],
        "scores": {"bleu": 79.16963878457499},
    },
    {
        "name": "arabic_and_blanks_at_the_end",
        "lang": "ar",
        "predictions": ["الطقس جميل اليوم في المدينة \n"],
        "golds": [["الطقس اليوم جميل في المدينة"]],
        "scores": {"bleu": 26.86424829558855},
    },
    {
        "name": "hindi",
        "lang": "hi",
        "predictions": ["आज मौसम बहुत अच्छा है।"],
        "golds": [["आज मौसम अच्छा है ।"]],
        "scores": {"bleu": 23.643540225079384},
    },
    {
        "name": "english_text_in_the_cell_of_another_language",
        "lang": "zh",
        "predictions": ["The cat sat on the mat."],
        "golds": [{"lang": "en", "texts": ["The cat sat on a mat."]}],
        "scores": {"bleu": 48.892302243490086},
    },
)
