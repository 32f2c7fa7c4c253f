"""Where chunks begin and end, and of which type they are, against seqeval, whose versions differ in the type alone."""

import itertools
import random
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from harness.api.registry import METRICS
from harness.report.submission.score import score_submission
from harness.report.submission.xtreme_format import TASKS

sequence_labeling = pytest.importorskip("seqeval.metrics.sequence_labeling")

ODD = ("O", "O-PER", "O-LOC", "B-PER", "I-PER", "E-PER", "S-LOC", "I-LOC", "X-PER", "NOUN", ".", "I-O", "I-a-PER")
"Tags of which some are malformed: an O with a type, letters that mean nothing, bare words, a type called O."
TYPES = ("PER", "person-other", "location-other", "other", "-x")
SCHEMES = {
    "BIO": ("O", *(f"{letter}-{kind}" for letter in "BI" for kind in TYPES)),
    "IOBES": ("O", *(f"{letter}-{kind}" for letter in "BIES" for kind in TYPES)),
}


def xtreme_chunks(tags: Sequence[str]) -> set[tuple[str, int, int]]:
    """The chunks of seqeval 0.0.12: types are cut at the last hyphen; begin and end are tested as in the installed version."""
    found, begin, before, kind_before = set(), 0, "O", ""
    for position, tag in enumerate([*tags, "O"]):
        letter, kind = tag[0], tag.split("-")[-1]
        if sequence_labeling.end_of_chunk(before, letter, kind_before, kind):
            found.add((kind_before, begin, position - 1))
        if sequence_labeling.start_of_chunk(before, letter, kind_before, kind):
            begin = position
        before, kind_before = letter, kind
    return found


def counts(
    find: Callable[[list[str]], set[tuple[str, int, int]]], predictions: Sequence[Sequence[str]], golds: Sequence[Sequence[str]]
) -> tuple[int, int, int]:
    """(correct, predicted, gold) of a file, read as one sequence with an O behind each sentence, as seqeval reads it."""
    given, wanted = (find([tag for tags in side for tag in (*tags, "O")]) for side in (predictions, golds))
    return len(given & wanted), len(given), len(wanted)


def ours(name: str, predictions: Sequence[Sequence[str]], golds: Sequence[Sequence[str]]) -> tuple[int, ...]:
    """The same of a metric, sentence by sentence."""
    rows = [METRICS.load(name).stats(*pair, lang="en") for pair in zip(predictions, golds, strict=True)]
    return tuple(sum(row[n] for row in rows) for n in range(3))


def file_of(rng: random.Random, tags: Sequence[str]) -> tuple[list[list[str]], list[list[str]]]:
    """Predictions and gold of a few sentences; about two of three tags are right."""
    golds = [rng.choices(tags, k=rng.randint(1, 8)) for _ in range(rng.randint(1, 5))]
    return [[rng.choice(tags) if rng.random() < 0.3 else tag for tag in gold] for gold in golds], golds


def test_chunk_f1_cuts_any_tags_as_xtremes_chunker_does() -> None:
    chunk_f1, num = METRICS.load("chunk_f1"), 0
    for length in (1, 2, 3, 4):
        for tags in itertools.product(ODD, repeat=length):
            expected = xtreme_chunks(tags)
            # Held against its own chunks one by one, so that an equal number of other chunks does not pass.
            assert chunk_f1.stats(tags, tags, lang="en") == (len(expected),) * 3, tags
            for shifted in (tags[1:] + tags[:1], ("O", *tags[1:])):
                both = len(expected & xtreme_chunks(shifted))
                assert chunk_f1.stats(shifted, tags, lang="en")[0] == both, (shifted, tags)
            num += 1
    assert num == sum(len(ODD) ** length for length in (1, 2, 3, 4))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_entity_f1_counts_what_seqeval_counts(scheme: str) -> None:
    rng, different = random.Random(scheme), 0
    for _ in range(5_000):
        predictions, golds = file_of(rng, SCHEMES[scheme])
        expected = counts(lambda tags: set(sequence_labeling.get_entities(tags)), predictions, golds)
        assert ours("entity_f1", predictions, golds) == expected
        different += ours("chunk_f1", predictions, golds) != expected
    assert different > 1_000  # the files tell the two rules apart


@pytest.mark.parametrize("scheme", SCHEMES)
def test_entity_f1_has_the_digits_of_seqeval(scheme: str) -> None:
    rng = random.Random(scheme)
    for _ in range(200):
        predictions, golds = file_of(rng, SCHEMES[scheme])
        found = METRICS.load("entity_f1").combine(np.array(ours("entity_f1", predictions, golds)))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = sequence_labeling.precision_recall_fscore_support(golds, predictions, average="micro", zero_division=0)
        for key, value in zip(("precision", "recall", "f1"), theirs):
            assert found[key] == pytest.approx(value * 100, abs=1e-12)


def test_a_submission_of_malformed_tags_is_chunked_as_the_script_chunks_it(tmp_path: Path) -> None:
    rng, others = random.Random(0), 0
    for number in range(100):
        predictions, golds = file_of(rng, ODD)
        for root, sentences in (("predictions", predictions), ("labels", golds)):
            path = TASKS["panx"].file(tmp_path / f"{number}" / root, "de")
            path.parent.mkdir(parents=True)
            path.write_text("\n".join("".join(f"{tag}\n" for tag in tags) for tags in sentences))
        root = tmp_path / f"{number}"
        (found,) = score_submission(root / "predictions", root / "labels", partial=True).tasks["panx"].languages.values()
        correct, given, wanted = counts(xtreme_chunks, predictions, golds)
        assert found.scores["precision"] == (correct / given if given else 0.0) * 100
        assert found.scores["recall"] == (correct / wanted if wanted else 0.0) * 100
        assert found.num_examples == len(golds)
        others += ours("chunk_f1", predictions, golds) != (correct, given, wanted)
    assert others > 0  # some files differ where sentences are chunked one by one: malformed tags, which no model here predicts
