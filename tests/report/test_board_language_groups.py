"""Boards cut by family, script, word order and coverage; seeds; what is said of several backbones and of mixtures."""

import re

import pytest
from printed_pages import unbroken
from written_runs import WrittenRun, nli, task

from harness.report.board.board import build_board, write_board
from harness.report.board.markdown import markdown

COVERAGE = {"languages": ["de", "en", "ru"], "source": "its paper", "evidence": "D"}
SIZES = {"parameters": 100_000_000, "non_embedding_parameters": 50_000_000}
RIGHT = {"en": 90, "de": 70, "ru": 60, "ur": 50, "sw": 40}


def cut_run(root, *, model="tiny", without=(), **facts):
    """One task in five languages with and without an intermediate phase; `without` are languages of `mnli` not scored."""
    run = WrittenRun(root, tasks={"xnli": task(*RIGHT)}, model=model, sizes={**SIZES, **facts})
    for intermediate, better in (("none", 0), ("mnli", 6)):
        chain = [run.train_stage(f"{intermediate}+xnli")]
        for lang, right in RIGHT.items():
            if intermediate == "none" or lang not in without:
                run.cell(intermediate, "xnli", lang, seed=1, right=right + better, draw=lang, chain=chain)
    return run


def cut(board, by, group, intermediate="none", model="tiny"):
    (found,) = [
        c
        for c in board["cuts"]
        if (c["by"], c["group"], c["intermediate"], c["model"], c["task"]) == (by, group, intermediate, model, "xnli")
    ]
    return found


def test_cuts_are_means_over_the_languages_of_a_group_without_english(tmp_path):
    board = build_board([cut_run(tmp_path, coverage=COVERAGE).write()])
    family = cut(board, "family", "Indo-European")
    assert family["languages"] == ["de", "ru", "ur"]
    assert family["n"] == 3
    assert family["score"]["value"] == pytest.approx((70 + 60 + 50) / 3)
    assert family["score"]["low"] < family["score"]["value"] < family["score"]["high"]
    assert family["lift"] is None
    assert cut(board, "family", "Niger-Congo", "mnli")["lift"]["value"] == pytest.approx(6)
    assert cut(board, "script", "Latn")["score"]["value"] == pytest.approx((70 + 40) / 2)
    assert cut(board, "word_order", "not recorded")["languages"] == ["de"]
    assert cut(board, "covered", "covered")["languages"] == ["de", "ru"]
    assert cut(board, "covered", "not covered")["score"]["value"] == pytest.approx((50 + 40) / 2)
    write_board(board, tmp_path / "board.json")


def test_a_group_that_lacks_a_language_says_so(tmp_path):
    board = build_board([cut_run(tmp_path, without=["ur"]).write()])
    found = cut(board, "family", "Indo-European", "mnli")
    assert (found["languages"], found["missing_languages"], found["n"]) == (["de", "ru"], ["ur"], 2)
    section = markdown(board, by=["family"]).split("## By family")[1].split("\n## ")[0]
    assert re.search(r"\| Indo-European +\|   3 \| +\*?\d", section)
    assert "*71.0 [" in section
    assert "\nIndo-European: de, ru, ur; Niger-Congo: sw.\n" in section
    assert "†" not in section


def test_cuts_carry_the_marks_of_their_task(tmp_path):
    run = cut_run(tmp_path)
    run.cells = [{**cell, "same_task": cell["intermediate"] == "mnli"} for cell in run.cells]
    section = markdown(build_board([run.write()]), by=["script"]).split("## By script")[1].split("\n## ")[0]
    assert "†61.0 [" in section
    assert "†+6.0 [" in section


def test_where_coverage_is_not_recorded_nothing_is_claimed(tmp_path):
    board = build_board([cut_run(tmp_path).write()])
    assert {c["by"] for c in board["cuts"]} == {"family", "script", "word_order"}
    assert "Not recorded which languages the pretraining of tiny held." in markdown(board, by=["covered"])


def test_cuts_are_printed_on_request_only_and_change_nothing_else(tmp_path):
    board = build_board([cut_run(tmp_path, coverage=COVERAGE).write()])
    assert "## By" not in markdown(board)
    page = markdown(board, by=["covered", "script", "covered"])
    assert [line for line in page.splitlines() if line.startswith("## By")] == ["## By covered", "## By script"]
    assert "not covered" in page
    assert markdown(board) == page.split("## By")[0] + "## Languages" + page.split("## Languages")[1]


def test_median_mean_and_deviation_over_seeds(tmp_path):
    board = build_board([nli(tmp_path, seeds=(1, 2, 6)).write()])
    (entry,) = [e for e in board["task_scores"] if (e["task"], e["intermediate"]) == ("xnli", "none")]
    assert entry["over_seeds"] == {"n": 3, "mean": pytest.approx(73), "median": pytest.approx(72), "sd": pytest.approx(2.6457513)}
    assert entry["languages"]["sw"]["over_seeds"]["median"] == pytest.approx(62)
    assert entry["degenerate_seeds"] == []
    (group,) = [e for e in board["group_scores"] if (e["group"], e["intermediate"]) == ("all", "none")]
    assert group["over_seeds"]["median"] == pytest.approx((72 + 40) / 2)
    page = markdown(board)
    assert "72.0; 73.0 sd 2.6 (3)" in page
    assert "Degenerate seeds: 0, replaced: 0." in page


def test_degenerate_seeds_are_counted_and_those_replaced_are_named(tmp_path):
    run = WrittenRun(tmp_path, tasks={"xnli": task("de", "sw")})
    for seed in (1, 2, 4):
        told = {"degenerate": "final loss 1.0986 is that of guessing"} if seed == 2 else {}
        chain = [run.train_stage("xnli", seed=seed, **told)]
        for lang in ("de", "sw"):
            run.cell("none", "xnli", lang, seed=seed, right=33 if seed == 2 else 70, chain=chain)
    replaced = {"model": "tiny", "intermediate": "none", "task": "xnli", "recipe": "quick", "seed": 3, "by": 4, "why": "loss 1.1"}
    run.extra["replaced"] = [replaced]
    board = build_board([run.write()])
    assert board["task_scores"][0]["degenerate_seeds"] == [2]
    assert board["task_scores"][0]["over_seeds"]["median"] == 70
    assert board["replaced"] == [{**replaced, "stage": ""}]
    page = markdown(board)
    assert "Degenerate seeds: 2, replaced: 1." in page
    assert "Degenerate: tiny + none (quick), xnli: seed 2 of 3." in page
    assert "Seed 3 of tiny + none (quick), xnli replaced by seed 4: loss 1.1." in page
    write_board(board, tmp_path / "board.json")


def test_a_seed_that_predicts_one_class_in_every_language_is_degenerate(tmp_path):
    run = WrittenRun(tmp_path, tasks={"xnli": task("de", "sw")})
    for seed, total in ((1, 1), (2, 30)):  # of one example, one class is all there can be
        for lang in ("de", "sw"):
            run.cell("none", "xnli", lang, seed=seed, right=1, total=total)
    assert build_board([run.write()])["task_scores"][0]["degenerate_seeds"] == [1]


def test_several_backbones_are_told_apart_by_more_than_size(tmp_path):
    other = {**COVERAGE, "languages": ["de", "en", "ru", "sw", "ur"]}
    small = cut_run(tmp_path / "a", model="small", family="XLM-R", coverage=COVERAGE).write()
    large = cut_run(tmp_path / "b", model="large", family="mT5", coverage=other).write()
    unknown = cut_run(tmp_path / "c", model="unknown").write()
    page = unbroken(markdown(build_board([small, large, unknown])))
    assert "Backbones of 3 families (large; small; unknown) differ in more than size" in page
    assert "held different languages of this board (large all; small not sw, ur)" in page
    assert "Not recorded which languages the pretraining of unknown held." in page
    assert "families" not in markdown(build_board([small]))
    ladder = cut_run(tmp_path / "d", model="base", family="XLM-R", coverage=COVERAGE).write()
    page = markdown(build_board([small, ladder]))
    assert "families" not in page
    assert "held different languages" not in page


def test_what_a_setting_sees_and_which_part_of_it_is_the_target_itself(tmp_path):
    run = WrittenRun(tmp_path, tasks={"xnli": task("de", same_task=["mnli"]), "panx": task("de")})
    for intermediate in ("none", "qqp+mnli@sw:mlm", "squad_v1"):
        for name in ("xnli", "panx"):
            run.cell(intermediate, name, "de", seed=1, same=(intermediate, name) == ("qqp+mnli@sw:mlm", "xnli"))
    run.extra["declared"] = {"qqp+mnli@sw:mlm": "mlm: unlabelled text in de, sw", "squad_v1": "English only"}
    page = markdown(build_board([run.write()])).split("## Intermediate settings")[1].split("\n## ")[0]
    assert [line for line in unbroken(page).splitlines() if line.startswith("- ")] == [
        "- qqp+mnli@sw:mlm: text of test languages it sees: mlm: unlabelled text in de, sw; it trains on the own data of "
        "†xnli (by mnli).",
        "- squad_v1: text of test languages it sees: English only.",
    ]
