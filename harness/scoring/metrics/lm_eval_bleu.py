"""BLEU of a corpus as lm-evaluation-harness computes it: sacrebleu with its 13a tokenizer, whatever the language.

    METRICS.load("lm_eval_bleu:bleu").stats({"values": {"bleu": ["a cat", "the cat"]}}, "a cat", lang="de")

A value is the pair of the reference, or a list of them, and the text that was written.
"""

from typing import Any

from harness.scoring.metrics import bleu
from harness.scoring.metrics._corpus_texts import corpus_family
from harness.scoring.metrics._sacrebleu import VERSION
from harness.scoring.metrics._task_values import DEFAULT

KEYS = ("bleu",)
SIGNATURE = f"lm_eval_bleu|sacrebleu|nrefs:var|case:mixed|eff:no|tok:13a|smooth:exp|version:{VERSION}"

named = corpus_family("lm_eval_bleu", bleu, key="bleu", signature=SIGNATURE, num_stats=10)
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
        "scores": {"bleu": 54.14341926669983},
    },
    {
        "name": "same_text",
        "lang": "de",
        "predictions": [{"values": {"value": ["Der Hund schläft im Garten.", "Der Hund schläft im Garten."]}}],
        "golds": [""],
        "scores": {"bleu": 100.00000000000004},
    },
    {
        "name": "all_wrong",
        "lang": "en",
        "predictions": [{"values": {"value": ["xyz xyz xyz xyz xyz", "abc abc abc abc"]}}],
        "golds": [""],
        "scores": {"bleu": 0.0},
    },
    {
        "name": "several_references",
        "lang": "fr",
        "predictions": [
            {"values": {"value": [["Un chat dort sur une table.", "Le chat est sur la table."], "Le chat dort sur la table."]}}
        ],
        "golds": [""],
        "scores": {"bleu": 62.23329772884783},
    },
    {
        "name": "chinese_is_one_word",
        "lang": "zh",
        "predictions": [{"values": {"value": ["今天天气不错，我们去公园吧。", "今天天气很好，我们去公园。"]}}],
        "golds": [""],
        "scores": {"bleu": 0.0},
    },
    {
        "name": "empty_text",
        "lang": "en",
        "predictions": [
            {"values": {"value": ["Good night.", ""]}},
            {"values": {"value": ["The train leaves at ten o'clock today.", "The train leaves at ten o'clock today."]}},
        ],
        "golds": ["", ""],
        "scores": {"bleu": 68.72892787909726},
    },
    {
        "name": "case_punctuation_numbers",
        "lang": "en",
        "predictions": [{"values": {"value": ["The price was $3,000.50, in May.", "THE price was $3,000.50 (in May)."]}}],
        "golds": [""],
        "scores": {"bleu": 32.46679154750989},
    },
)
