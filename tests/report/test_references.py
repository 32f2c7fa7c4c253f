"""Published numbers: what the file holds, and that they stand beside one's own and never in them."""

from statistics import fmean
from typing import get_args

import pytest
from written_runs import WrittenRun, nli, task

from harness.api.errors import UserErrors
from harness.data.languages import languages
from harness.report.board.board import build_board, write_board
from harness.report.board.markdown import markdown
from harness.report.board.references import FILE, named_references, published, unused_references
from harness.specs.preset import Evidence

NUM_LANGUAGES = {
    "xnli": 15,
    "pawsx": 7,
    "udpos": 33,
    "panx": 40,
    "xquad": 11,
    "mlqa": 7,
    "tydiqa": 9,
    "bucc2018": 4,
    "tatoeba": 36,
}


@pytest.mark.parametrize("name", sorted(published()))
def test_every_number_has_a_source_and_its_languages_give_the_printed_mean(name):
    for task_name, found in published()[name].tasks.items():
        assert found.source
        assert found.evidence in get_args(Evidence)
        assert found.scores
        for key, by_lang in found.languages.items():
            assert len(by_lang) == NUM_LANGUAGES[task_name]
            assert set(by_lang) <= set(languages())
            assert fmean(by_lang.values()) == pytest.approx(found.scores[key], abs=0.06), (task_name, key)


def test_versions_and_splits_of_a_paper_are_rows_of_their_own():
    assert published()["xlmr_large_xtreme"].tasks["udpos"].scores == {"f1": 73.8}
    assert "72.6" in published()["xlmr_large_xtreme"].version
    assert {row.split for name, row in published().items() if name != "phang2020_xlmr_dev"} == {"test"}
    assert published()["phang2020_xlmr_dev"].split == "dev"
    assert set(published()["phang2020_xlmr_dev"].tasks) == {"bucc2018", "tatoeba"}  # the rest of that table is not verified
    assert "tatoeba" not in published()["mbert_xtreme"].tasks  # recalled, and no sum confirms it
    assert "M?" not in FILE.read_text(encoding="utf-8")


def test_the_overall_number_of_xlmr_follows_from_its_nine_means():
    means = [fmean(found.scores.values()) for found in published()["xlmr_large_xtreme"].tasks.values()]
    assert fmean(means) == pytest.approx(68.2, abs=0.06)


def test_references_stand_beside_the_scores_and_change_none_of_them(tmp_path):
    root = nli(tmp_path).write()
    names = named_references("xlmr_large_xtreme, mt5_small,mt5_small")
    alone, beside = build_board([root]), build_board([root], references=names)
    assert alone["references"] == []
    assert {key: value for key, value in beside.items() if key != "references"} == {
        key: value for key, value in alone.items() if key != "references"
    }
    first, second = beside["references"]
    assert (first["reference"], first["task"], first["score"], first["split"]) == ("xlmr_large_xtreme", "xnli", 79.2, "test")
    assert first["here"]["languages"] == ["de", "en", "sw"]
    assert first["here"]["score"] == pytest.approx((82.5 + 88.7 + 71.2) / 3)
    assert (second["score"], second["here"], second["evidence"]) == (67.5, None, "R")
    write_board(beside, tmp_path / "board.json")
    page = markdown(beside)
    assert "79.2 here 80.8 M+" in page
    assert "67.5 R" in page
    assert "mt5_small: Xue et al. 2020 (mT5), arXiv 2010.11934; test" in page
    assert "Published" not in markdown(alone)


def test_a_score_of_several_metrics_is_there_only_where_all_are_known(tmp_path):
    run = WrittenRun(
        tmp_path, tasks={"xquad": task("de", "en", kind="span_qa", score=("squad.exact_match", "squad.f1"), chance=0)}
    )
    for lang in ("de", "en"):
        run.cell("none", "xquad", lang, seed=1)
    board = build_board([run.write()], references=["xlmr_large_xtreme", "mt5_small"])
    assert [entry["score"] for entry in board["references"]] == [pytest.approx(68.7), None]
    page = markdown(board)
    assert "68.7 (exact_match 60.8, f1 76.6) here 76.5 R" in page
    assert "f1 58.1 R" in page
    assert "| de   |                          63.4 |                 80.4 |" in page


def test_unknown_references_are_errors_and_those_of_other_tasks_are_told(tmp_path):
    with pytest.raises(UserErrors, match="did you mean 'mt5_base'"):
        named_references("mt5_bas,nobody")
    names = named_references("rembert,phang2020_xlmr_dev")
    assert unused_references(names, build_board([nli(tmp_path).write()], references=names)) == ["phang2020_xlmr_dev"]
