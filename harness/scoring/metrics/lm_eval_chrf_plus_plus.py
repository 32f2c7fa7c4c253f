"""chrF++ of a corpus as lm-evaluation-harness computes it: sacrebleu's, with n-grams of up to two words.

    METRICS.load("lm_eval_chrf_plus_plus:chrf++").stats({"values": {"chrf++": ["a cat", "the cat"]}}, "a cat", lang="de")

A value is the pair of the reference, or a list of them, and the text that was written.
"""

from typing import Any

from harness.scoring.metrics import chrf
from harness.scoring.metrics._corpus_texts import corpus_family
from harness.scoring.metrics._sacrebleu import VERSION
from harness.scoring.metrics._task_values import DEFAULT

KEYS = ("chrf_plus_plus",)
SIGNATURE = f"lm_eval_chrf_plus_plus|sacrebleu|nrefs:var|case:mixed|eff:yes|nc:6|nw:2|space:no|version:{VERSION}"

named = corpus_family("lm_eval_chrf_plus_plus", chrf, key="chrf_plus_plus", signature=SIGNATURE, num_stats=42)
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
        "scores": {"chrf_plus_plus": 76.01921776842711},
    },
    {
        "name": "same_text",
        "lang": "de",
        "predictions": [{"values": {"value": ["Der Hund schläft im Garten.", "Der Hund schläft im Garten."]}}],
        "golds": [""],
        "scores": {"chrf_plus_plus": 100.0},
    },
    {
        "name": "all_wrong",
        "lang": "en",
        "predictions": [{"values": {"value": ["xyz xyz xyz xyz xyz", "abc abc abc abc"]}}],
        "golds": [""],
        "scores": {"chrf_plus_plus": 0.0},
    },
    {
        "name": "several_references",
        "lang": "fr",
        "predictions": [
            {"values": {"value": [["Un chat dort sur une table.", "Le chat est sur la table."], "Le chat dort sur la table."]}}
        ],
        "golds": [""],
        "scores": {"chrf_plus_plus": 73.24147848114042},
    },
    {
        "name": "chinese_is_one_word",
        "lang": "zh",
        "predictions": [{"values": {"value": ["今天天气不错，我们去公园吧。", "今天天气很好，我们去公园。"]}}],
        "golds": [""],
        "scores": {"chrf_plus_plus": 37.41026732339612},
    },
    {
        "name": "empty_text",
        "lang": "en",
        "predictions": [
            {"values": {"value": ["Good night.", ""]}},
            {"values": {"value": ["The train leaves at ten o'clock today.", "The train leaves at ten o'clock today."]}},
        ],
        "golds": ["", ""],
        "scores": {"chrf_plus_plus": 82.29193402465498},
    },
    {
        "name": "longer_than_the_reference",
        "lang": "en",
        "predictions": [{"values": {"value": ["Good night.", "Good night, and sleep well until the morning comes."]}}],
        "golds": [""],
        "scores": {"chrf_plus_plus": 46.88772637869634},
    },
    {
        "name": "case_punctuation_numbers",
        "lang": "en",
        "predictions": [{"values": {"value": ["The price was $3,000.50, in May.", "THE price was $3,000.50 (in May)."]}}],
        "golds": [""],
        "scores": {"chrf_plus_plus": 59.90554205640027},
    },
)
