"""chrF, BLEU, exact match and token F1 of generated texts: against the installed sacrebleu, digit for digit."""

import random
import warnings

import numpy as np
import pytest
from sacrebleu.metrics import BLEU, CHRF

from harness.api.errors import UserError
from harness.data.languages import languages
from harness.scoring.bootstrap import interval
from harness.scoring.metrics import bleu, chrf, exact_match, token_f1
from harness.scoring.score import score_cell

ALL = (bleu, chrf, exact_match, token_f1)
LATIN = ["the", "a", "cat", "Dog", "sat", "on", "mat.", ",", "house!", "3,000.5", "don't", "(so)", "e\u0301t\u00e9"]
OTHER = [
    "\u5317\u4eac",
    "\u304c\u3044",
    "\u0e04\u0e23\u0e31\u0e1a",
    "\u092e\u0947\u0930\u093e",
    "\u0628\u064a\u062a",
    "\uc624\ub298",
    "\u1019\u103c",
]
WORDS = [*LATIN, *OTHER, "\U0001f469\u200d\U0001f467"]


def official(lang):
    """The metrics of sacrebleu by our keys."""
    return {
        "bleu": BLEU(tokenize=bleu.tokenizer(lang)),
        "chrf": CHRF(),
        "chrf_plus_plus": CHRF(word_order=2),
    }


def streams(golds):
    """References as sacrebleu wants them: the i-th of every example, None where an example has fewer."""
    return [[gold[i] if i < len(gold) else None for gold in golds] for i in range(max(map(len, golds)))]


def corpus(rng, size=None):
    """Some generated texts near one of their references, and some that are not."""

    def text():
        return rng.choice(["", " "]) + rng.choice(["", " ", "  "]).join(rng.choices(WORDS, k=rng.randrange(13)))

    golds = [[text() for _ in range(rng.randint(1, 3))] for _ in range(size or rng.randint(1, 8))]
    near = [" ".join(word for word in rng.choice(gold).split() if rng.random() < 0.8) for gold in golds]
    return [one if rng.random() < 0.7 else text() for one in near], golds


def table(metric, predictions, golds, lang):
    return np.array([metric.stats(p, g, lang=lang) for p, g in zip(predictions, golds, strict=True)], dtype=np.float64)


@pytest.mark.parametrize("lang", ["en", "zh", "ja", "th", "ar"])
def test_scores_of_random_corpora_are_those_of_sacrebleu_digit_for_digit(lang):
    rng = random.Random(lang)
    seen = []
    for _ in range(40):
        predictions, golds = corpus(rng)
        for metric in (bleu, chrf):
            found = metric.combine(table(metric, predictions, golds, lang).sum(axis=0))
            for key, value in found.items():
                assert value == official(lang)[key].corpus_score(predictions, streams(golds)).score
                seen.append(float(value))
    assert len(set(seen)) > 80  # scores, not zeros


def test_many_totals_at_once_give_what_each_gives_alone_in_sacrebleu():
    predictions, golds = corpus(random.Random(0), size=60)
    picks = np.random.default_rng(0).integers(0, 60, size=(3, 5, 60))
    for metric in (bleu, chrf):
        found = metric.combine(table(metric, predictions, golds, "en")[picks].sum(axis=2))
        assert tuple(found) == metric.KEYS
        for key, values in found.items():
            assert values.shape == (3, 5)
            for place in np.ndindex(3, 5):
                drawn = [predictions[i] for i in picks[place]], streams([golds[i] for i in picks[place]])
                assert values[place] == official("en")[key].corpus_score(*drawn).score


def test_signatures_say_what_sacrebleus_own_say():
    for metric, ours, lang, rule in (
        (bleu, "bleu", "en", "tok:zh for zh, char for ja km ko lo my th, 13a for all other languages"),
        (bleu, "bleu", "zh", "tok:zh for zh, char for ja km ko lo my th, 13a for all other languages"),
        (bleu, "bleu", "th", "tok:zh for zh, char for ja km ko lo my th, 13a for all other languages"),
        (chrf, "chrf", "en", "nw:0 for chrf, 2 for chrf_plus_plus"),
        (chrf, "chrf_plus_plus", "en", "nw:0 for chrf, 2 for chrf_plus_plus"),
    ):
        scorer = official(lang)[ours]
        scorer.corpus_score(["a", "b"], [["a", "b"], ["c", None]])
        for part in str(scorer.get_signature()).split("|"):
            key = part.split(":")[0]
            assert (rule if key in ("tok", "nw") else part) in metric.SIGNATURE.split("|")


def test_every_language_has_a_tokenizer_that_needs_no_other_package():
    names = {code: bleu.tokenizer(code) for code in languages() if code not in bleu.NO_TOKENS}
    assert {code for code, name in names.items() if name != "13a"} == {"zh", "ja", "ko", "th", "my", "km", "lo"}
    for name in set(names.values()):
        assert bleu.scorer(name).tokenizer_signature == name


def test_languages_without_spaces_that_nothing_takes_apart_are_refused():
    assert set(bleu.NO_TOKENS) < set(languages())
    with pytest.raises(UserError, match=r"(?s)bleu cannot take 'yue' apart.*take chrf"):
        bleu.stats("佢喺度", ["佢喺度"], lang="yue")


def test_the_language_of_the_texts_counts_where_it_is_not_that_of_the_cell():
    text, gold = "The cat sat on the mat.", ["The cat sat on a mat."]
    into_english = {"lang": "en", "texts": gold}
    assert bleu.stats(text, into_english, lang="th") == bleu.stats(text, gold, lang="en") != bleu.stats(text, gold, lang="th")
    for metric in ALL:
        assert metric.stats(text, into_english, lang="th") == metric.stats(text, gold, lang="en")


@pytest.mark.parametrize("metric", ALL)
@pytest.mark.parametrize("gold", [[], None, {"lang": "en"}, {"lang": "en", "texts": []}, [3], 3, [["a"]]])
def test_gold_without_texts_is_refused(metric, gold):
    with pytest.raises(UserError, match="no reference texts"):
        metric.stats("a", gold, lang="en")


@pytest.mark.parametrize("metric", ALL)
def test_a_prediction_that_is_no_text_is_refused(metric):
    with pytest.raises(UserError, match=r"(?s)no text.*\{'text': 'a'\}"):
        metric.stats({"text": "a"}, ["a"], lang="en")


@pytest.mark.parametrize("metric", [bleu, exact_match, token_f1])
def test_references_in_any_order_give_the_same(metric):
    # Of chrF they do not, in sacrebleu neither: among equally near references (as when nothing matches) the first one counts.
    for seed in range(20):
        predictions, golds = corpus(random.Random(seed))
        turned = [list(reversed(gold)) for gold in golds]
        one, other = (metric.combine(table(metric, predictions, some, "en").sum(axis=0)) for some in (golds, turned))
        assert {key: float(value) for key, value in one.items()} == {key: float(value) for key, value in other.items()}


def test_a_cell_is_scored_with_intervals_and_signatures():
    predictions, golds = corpus(random.Random(0), size=80)
    lines = [
        {"id": str(n), "prediction": p, "gold": g, "num_truncated": 0, "notes": []}
        for n, (p, g) in enumerate(zip(predictions, golds, strict=True))
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cell = score_cell(lines, metrics=["chrf", "bleu"], score=["chrf.chrf_plus_plus"], lang="en", num_expected=len(lines))
    theirs = official("en")["chrf_plus_plus"].corpus_score(predictions, streams(golds)).score
    assert cell.score.value == cell.metrics["chrf.chrf_plus_plus"].value == theirs
    assert cell.score.low < theirs < cell.score.high
    assert cell.metrics["bleu.bleu"].signature == bleu.SIGNATURE
    assert cell.stats["chrf"].shape == (len(lines), 42)
    assert interval(cell.stats["bleu"], bleu.combine, seed=0)["bleu"].low < cell.metrics["bleu.bleu"].value
