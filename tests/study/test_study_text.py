"""The printed text of a study: what it is, verdicts first with their numbers, lifts by size, what to mind."""

from dataclasses import replace

import numpy as np
import pytest
from printed_pages import too_wide
from small_studies import name_of, small_study, study_spec, without

from harness.study.results.document import build_results
from harness.study.results.study_scores import ChosenRate, TrainingKey
from harness.study.results.text import text
from harness.study.results.text_numbers import counted, number, parameters, span
from harness.study.statistics.looks import LookLog

HYPOTHESES = [
    {"name": "MNLI persists", "asks": "scale", "settings": "mnli"},
    {"name": "noise helps", "asks": "helps", "settings": "noisy"},
]


@pytest.fixture(scope="module")
def scores():
    rng = np.random.default_rng(1)
    return small_study({"none": 0.0, "mnli": 3.0, "noisy": lambda family, size, cell: 0.8 + 6 * rng.standard_normal()})


def printed(scores, *, hypotheses=HYPOTHESES, looks=None, look=True, note="", **options):
    spec = study_spec(scores, hypotheses=hypotheses, note=note, looks=2)
    return text(build_results(spec, scores, looks=looks or LookLog(2), look=look, **options).document, width=10_000)


def paragraph(told, name):
    (found,) = [line for line in told.split("\n") if line.startswith(f"{name}: ")]
    return found


def test_verdicts_stand_first_with_their_numbers(scores):
    told = printed(scores)
    lines = told.split("\n")
    assert lines[0] == "Study small: A small study."
    assert told.index("Look 1 of 2") < told.index("MNLI persists: persists.") < told.index("noise helps: undecided.")
    assert told.index("noise helps") < told.index("Lifts of mnli in points")
    own = paragraph(told, "MNLI persists")
    assert "Lift 3.0 [" in own
    assert "] at 300M, 3.0 [" in own
    assert "] at 3B, change " in own
    assert "] points." in own
    assert "Over all targets, all languages but English: 7 backbones, 3 seeds, 4 cells, 4,000 test examples." in own
    assert "By family: X persists, M " in own


def test_an_undecided_one_says_what_would_decide_it_and_what_the_next_look_may_spend(scores):
    own = paragraph(printed(scores), "noise helps")
    assert "Would decide: " in own
    assert "more seeds on each of 7 backbones: " in own
    assert own.endswith("Look 2 may spend 0.0444.")


def test_without_a_look_left_the_advice_says_that_it_cannot_decide(scores):
    log = LookLog(2).looked("one", {}).looked("two", {"noise helps": "undecided", "MNLI persists": "persists"})
    told = printed(scores, looks=log)
    assert "NOT LOOKED: look 3 of 2 planned: all of alpha is spent" in told
    assert "But none of the 2 planned looks is left: following this cannot decide it any more" in paragraph(told, "noise helps")
    assert "Decided at look 2, which stands." in paragraph(told, "MNLI persists")


def test_a_decision_that_the_data_no_longer_show_is_told(scores):
    log = LookLog(2).looked("one", {"MNLI persists": "grows"})
    own = paragraph(printed(scores, looks=log), "MNLI persists")
    assert own.startswith("MNLI persists: grows. Decided at look 1, which stands; these data say: persists.")


def test_what_it_is_is_said_plainly(scores):
    plain = printed(scores)
    for word in ("SYNTHETIC", "PARTIAL", "NOTE", "CHANGED"):
        assert word not in plain
    told = printed(replace(scores, synthetic=True, partial=True), note="The backbones are cut.", registered_before="0")
    for word in ("SYNTHETIC: ", "PARTIAL: ", "NOTE: The backbones are cut.", "CHANGED: "):
        assert f"\n{word}" in told


def test_lifts_stand_by_size_in_a_table_of_each_setting(scores):
    told = printed(scores).split("\n")
    start = told.index("Lifts of mnli in points, with their 95 % intervals")
    header, _, *rows = told[start + 1 : start + 10]
    assert header.split()[:4] == ["backbone", "size", "seeds", "zero-shot"]
    assert "English" in header
    assert "udpos" in header
    assert [row.split()[1] for row in rows] == ["100M", "300M", "1B", "3B", "100M", "1B", "10B"]
    assert rows[0].split()[2:4] == ["3", "3.0"]
    assert told[start + 10].startswith("  zero-shot, X: ")
    assert "for ten times the size" in told[start + 10]


def test_missing_scores_are_counted_and_the_first_are_named(scores):
    partial = without(scores, lambda key: key.arm == "mnli" and key.backbone == name_of("X", 1e9))
    told = printed(partial)
    assert "NOT LOOKED: 18 scores are missing, so that no look is spent." in told
    assert "MNLI persists: not looked." in told
    assert "1 backbone without a lift: X-1e+09: 12 of 24 scores are missing: mnli, xnli/de, seed 1 (the run failed)" in told
    assert "Missing: 18 scores\n  mnli, X-1e+09, xnli: 9 (en, de, sw): the run failed\n" in told
    assert "1B    –      –" in told


def test_what_to_mind_stands_once_at_the_end(scores):
    rate = ChosenRate(arm="mnli", backbone=name_of("X", 1e9), task="xnli", rate=1e-5, trials={1e-5: 60.0, 3e-5: 50.0})
    members = tuple(replace(one, method="lora" if one.rung.family == "M" else "full") for one in scores.members)
    degenerate = frozenset({TrainingKey("mnli", name_of("X", 1e9), "xnli", 2)})
    more = [*HYPOTHESES, {"name": "helps", "asks": "helps", "settings": "mnli"}]
    told = printed(replace(scores, rates=(rate,), members=members, degenerate=degenerate), hypotheses=more)
    assert told.count("between families: method differs: full (X); lora (M)") == 1
    assert "a better one may lie outside\n  X-1e+09: 1 of 1 choices (1e-05 in 1)\n" in told
    assert "Trainings that learnt nothing\n  mnli, X-1e+09, xnli, seed 2\n" in told


def test_a_study_without_hypotheses_prints_its_lifts(scores):
    told = printed(scores, hypotheses=[])
    assert "No hypotheses" in told
    assert "NOT LOOKED: there are no hypotheses" in told
    assert "Lifts of mnli" in told


def test_names_do_nothing_to_a_terminal(scores):
    told = printed(scores, note="\x1b[31mred")
    assert "NOTE: \\x1b[31mred" in told


def test_numbers():
    assert [number(value) for value in (12.34, 0.444, 0.0012, 0.0, -0.001, -3.0)] == [
        "12.3",
        "0.44",
        "0.001",
        "0.0",
        "-0.001",
        "-3.0",
    ]
    assert [parameters(size) for size in (1234.0, 8.6e7, 3e8, 1.32e10)] == ["1.23K", "86M", "300M", "13.2B"]
    assert [counted(1, "family", "families"), counted(2, "family", "families"), counted(2000, "row")] == [
        "1 family",
        "2 families",
        "2,000 rows",
    ]
    assert span({"value": 1.0, "low": None, "high": None}) == "1.0 [no interval]"


def test_no_line_is_wider_than_a_hundred_columns_and_columns_without_room_are_continued(scores):
    spec = study_spec(scores, hypotheses=HYPOTHESES, looks=2)
    told = text(build_results(spec, scores, looks=LookLog(2), look=True).document)
    assert too_wide(told) == []
    tables = told.split("Lifts of mnli in points")[1].split("Lifts of noisy")[0]
    headers = [line.split() for line in tables.splitlines() if line.split()[:1] == ["backbone"]]
    assert len(headers) > 1
    assert {tuple(header[:3]) for header in headers} == {("backbone", "size", "seeds")}
    assert "±" not in told
