"""The leaderboard from run folders as runs leave them: numbers, lifts, groups, merging, schema and the printed page."""

import json
import shutil
import statistics
import subprocess
import sys

import pytest
from written_runs import WrittenRun, nli, seal_again, task

from harness.api.errors import UserError, UserErrors
from harness.api.registry import ROOT
from harness.report.board.board import build_board, write_board
from harness.report.board.markdown import markdown
from harness.report.record.stage_facts import portable
from harness.runtime.stages import read_json, write_json


def board_text(folders, path):
    write_board(build_board(folders), path)
    return path.read_text(encoding="utf-8")


def entry(board, name, intermediate="none", **more):
    (found,) = [
        e
        for e in board["task_scores"]
        if (e["task"], e["intermediate"]) == (name, intermediate) and all(e[key] == value for key, value in more.items())
    ]
    return found


def group(board, name, intermediate="none"):
    (found,) = [e for e in board["group_scores"] if (e["group"], e["intermediate"]) == (name, intermediate)]
    return found


def test_rows_means_gap_and_lift_are_the_plain_arithmetic(tmp_path):
    board = build_board([nli(tmp_path, seeds=(1, 2)).write()])
    assert len(board["rows"]) == 2 * 2 * 3 + 2 + 4
    none, mnli = entry(board, "xnli"), entry(board, "xnli", "mnli")
    assert none["languages"]["de"]["score"]["value"] == pytest.approx(71.5)
    assert none["languages"]["de"]["over_seeds"]["sd"] == pytest.approx(statistics.stdev([71, 72]))
    assert none["score"]["value"] == pytest.approx((71.5 + 81.5 + 61.5) / 3)
    assert none["seeds"] == [{"seed": 1, "score": pytest.approx(71.0)}, {"seed": 2, "score": pytest.approx(72.0)}]
    assert none["centred"] == pytest.approx((none["score"]["value"] - 33.3) / 66.7 * 100)
    assert none["transfer_gap"]["value"] == pytest.approx(81.5 - (71.5 + 61.5) / 2)
    assert none["lift"] is None
    assert mnli["lift"]["value"] == pytest.approx(10)
    assert mnli["same_task"]
    assert not none["same_task"]
    assert none["complete"]
    assert none["missing_languages"] == []
    for numbers in (none["score"], mnli["lift"], none["transfer_gap"], mnli["languages"]["sw"]["lift"]):
        assert numbers["low"] < numbers["value"] < numbers["high"]
    assert none["counts"]["examples"] == 600
    assert none["metrics"] == {"accuracy.accuracy": pytest.approx(none["score"]["value"])}


def test_a_baseline_without_seed_serves_every_seed(tmp_path):
    board = build_board([nli(tmp_path, seeds=(1, 2)).write()])
    rows = {(r["intermediate"], r["lang"], r["seed"]): r for r in board["rows"] if r["task"] == "pairs"}
    assert sorted(rows, key=str) == [("mnli", lang, seed) for lang in ("de", "sw") for seed in (1, 2)] + [
        ("none", lang, None) for lang in ("de", "sw")
    ]
    assert rows["mnli", "de", 1]["lift"]["value"] == pytest.approx(6)
    assert rows["mnli", "de", 2]["lift"]["value"] == pytest.approx(7)
    assert entry(board, "pairs", "mnli")["lift"]["value"] == pytest.approx(6.5)
    assert entry(board, "pairs", "mnli")["languages"]["de"]["lift_seeds"] == [1, 2]


def test_lift_is_paired(tmp_path):
    """The same answers in both arms: no doubt that the lift is 0; other answers, as many right: doubt."""
    run = WrittenRun(tmp_path, tasks={"same": task("de"), "other": task("de")})
    for name, draws in (("same", ("a", "a")), ("other", ("a", "b"))):
        run.cell("none", name, "de", seed=1, right=50, draw=draws[0])
        run.cell("mnli", name, "de", seed=1, right=50, draw=draws[1])
    board = build_board([run.write()])
    assert entry(board, "same", "mnli")["lift"] == {"value": 0, "low": 0, "high": 0}
    lift = entry(board, "other", "mnli")["lift"]
    assert lift["value"] == 0
    assert lift["low"] < -5 < 5 < lift["high"]


def test_languages_with_the_same_items_are_resampled_together(tmp_path):
    """Right on the very same items of a parallel set: the mean over languages is as uncertain as one language."""
    run = WrittenRun(tmp_path, tasks={"parallel": task("de", "fr"), "apart": task("de", "fr")})
    for lang, first in (("de", 0), ("fr", 500)):
        run.cell("none", "parallel", lang, seed=1, right=50, draw="x")
        run.cell("none", "apart", lang, seed=1, right=50, draw="x", first=first)
    board = build_board([run.write()])
    half = {name: entry(board, name)["score"]["high"] - 50 for name in ("parallel", "apart")}
    assert half["apart"] < 0.85 * half["parallel"]


def test_a_lift_that_cannot_be_had_says_why(tmp_path):
    run = WrittenRun(tmp_path, tasks={"xnli": task("de", "fr", "sw")})
    run.cell("mnli", "xnli", "de", seed=1)
    run.cell("mnli", "xnli", "fr", seed=1)
    run.cell("none", "xnli", "fr", seed=1, finished=False)
    run.cell("mnli", "xnli", "sw", seed=1)
    run.cell("none", "xnli", "sw", seed=1, first=7)
    board = build_board([run.write()])
    reasons = {row["lang"]: row["no_lift"] for row in board["rows"] if row["intermediate"] == "mnli"}
    assert reasons == {
        "de": "no run without intermediate task",
        "fr": "the run without intermediate task is not finished",
        "sw": "the run without intermediate task has other test examples",
    }
    assert entry(board, "xnli", "mnli")["lift_missing"] == ["de", "fr", "sw"]
    assert "No lift: tiny + mnli (quick), xnli in de: no run without intermediate task." in markdown(board)


def test_another_recipe_is_another_line_and_no_baseline(tmp_path):
    tasks = {"xnli": task("de"), "pairs": task("de", trained=False)}
    run = WrittenRun(tmp_path, tasks=tasks)
    run.cell("none", "xnli", "de", seed=1, right=50)
    run.cell("none", "pairs", "de", right=30)
    run.recipe = "other"
    chain = [run.train_stage("mnli", learning="other"), run.train_stage("xnli-other")]
    run.cell("mnli", "xnli", "de", seed=1, right=60, chain=chain)
    board = build_board([run.write()])
    (row,) = [r for r in board["rows"] if r["intermediate"] == "mnli"]
    assert row["no_lift"] == "no run without intermediate task"
    assert entry(board, "pairs", recipe="quick")["score"]["value"] == 30  # untrained: stands in the line of its backbone
    assert "| mnli (other) " in markdown(board)


def test_groups_have_a_number_only_when_complete(tmp_path):
    board = build_board([nli(tmp_path / "whole", seeds=(1, 2)).write()])
    xnli, pairs = entry(board, "xnli"), entry(board, "pairs")
    everything = group(board, "all")
    assert everything["score"]["value"] == pytest.approx((xnli["score"]["value"] + pairs["score"]["value"]) / 2)
    assert [s["seed"] for s in everything["seeds"]] == [1, 2]
    assert everything["over_seeds"]["sd"] == pytest.approx(statistics.stdev([(71 + 40) / 2, (72 + 40) / 2]))
    assert group(board, "all", "mnli")["lift"]["value"] == pytest.approx((10 + 6.5) / 2)

    run = nli(tmp_path / "part")
    run.cell("squad", "xnli", "de", seed=1)
    run.cell("squad", "xnli", "en", seed=1, finished=False)
    board = build_board([run.write()])
    lacking = group(board, "all", "squad")
    assert lacking["score"] is None
    assert lacking["lift"] is None
    assert lacking["missing"] == {"xnli": ["en", "sw"], "pairs": ["de", "sw"]}
    assert group(board, "all")["score"] is not None
    assert "No number for all of tiny + squad (quick): it lacks xnli (en, sw); pairs." in markdown(board)


def test_an_unfinished_seed_leaves_the_group_without_a_number(tmp_path):
    run = nli(tmp_path)
    run.cell("none", "xnli", "de", seed=2, finished=False)
    board = build_board([run.write()])
    assert not entry(board, "xnli")["complete"]
    assert group(board, "all")["missing"] == {"xnli": []}
    assert "it lacks xnli (some seeds)" in markdown(board)


def test_what_was_asked_for_and_is_not_there_is_listed_with_its_reason(tmp_path):
    run = WrittenRun(tmp_path, tasks={"xnli": task("de", "fr", "sw", "ur")})
    run.cell("none", "xnli", "de", seed=1)
    run.cell("none", "xnli", "fr", seed=1, finished=False)
    failed = run.cell("none", "xnli", "sw", seed=1, finished=False)
    run.cells.append(
        {**run.cells[0], "lang": "ur", "score": None, "predict": None, "train": [], "blocked": "xnli has no ur here\nfetch it"}
    )
    run.extra["failures"] = [
        {"stage": failed.inputs[0].name, "error": "out of memory in /home/someone/x/y.py"},
        {"stage": run.cells[0]["score"], "error": "an older failure: the stage is done now"},
    ]
    board = build_board([run.write()])
    assert {cell["lang"]: cell["reason"] for cell in board["missing"]} == {
        "fr": "not finished",
        "sw": f"{failed.inputs[0].name} failed: out of memory in y.py",
        "ur": "xnli has no ur here",
    }
    assert entry(board, "xnli")["missing_languages"] == ["fr", "sw", "ur"]
    assert board["failures"] == [{"stage": failed.inputs[0].name, "error": "out of memory in y.py"}]
    page = markdown(board)
    assert "Missing: tiny + none (quick), xnli, 1 cell: fr (seed 1): not finished." in page
    assert "*50.0" in page
    assert "xnli: mean over 1 of its 4 languages (*) [tiny + none (quick)]." in page


def test_a_run_without_any_score_still_has_a_board(tmp_path):
    run = WrittenRun(tmp_path, tasks={"xnli": task("de")})
    run.cell("none", "xnli", "de", seed=1, finished=False)
    board = build_board([run.write()])
    assert entry(board, "xnli")["score"] is None
    assert "Missing: tiny + none (quick), xnli, 1 cell: de (seed 1): not finished." in markdown(board)


def test_merging_does_not_depend_on_order_or_place_and_merges_duplicates(tmp_path):
    a = nli(tmp_path / "a", model="small", intermediates=("none",)).write()
    b = nli(tmp_path / "b", model="small", intermediates=("mnli",)).write()
    c = nli(tmp_path / "c", model="large", sizes={"parameters": 560_000_000, "non_embedding_parameters": 302_000_000}).write()
    text = board_text([a, b, c], tmp_path / "1.json")
    assert board_text([c, a, b, a], tmp_path / "2.json") == text
    moved = tmp_path / "elsewhere" / "z"
    shutil.copytree(a, moved)
    assert board_text([moved, b, c], tmp_path / "3.json") == text
    assert board_text([b, c, moved, a], tmp_path / "4.json") == text
    board = json.loads(text)
    assert entry(board, "xnli", "mnli", model="small")["lift"]["value"] == pytest.approx(10)
    assert list(dict.fromkeys(e["model"] for e in board["task_scores"])) == ["small", "large"]


def test_numbers_of_a_line_do_not_change_when_others_join_the_board(tmp_path):
    a = nli(tmp_path / "a", model="small").write()
    b = nli(tmp_path / "b", model="large").write()
    alone, together = build_board([a]), build_board([a, b])
    assert alone["task_scores"] == [e for e in together["task_scores"] if e["model"] == "small"]
    assert alone["group_scores"] == [e for e in together["group_scores"] if e["model"] == "small"]
    assert alone["rows"] == [r for r in together["rows"] if r["model"] == "small"]


def test_contradictions_between_runs_are_errors(tmp_path):
    tasks = {"xnli": task("de")}
    first, second = WrittenRun(tmp_path / "a", tasks=tasks), WrittenRun(tmp_path / "b", tasks=tasks)
    first.cell("none", "xnli", "de", seed=1)
    second.cell("none", "xnli", "de", seed=1, chain=[second.train_stage("other")])
    with pytest.raises(
        UserError, match="two different results for one cell: model tiny, intermediate none, task xnli, lang de, seed 1"
    ):
        build_board([first.write(), second.write()])

    third = WrittenRun(tmp_path / "c", tasks=tasks)
    third.cell("none", "xnli", "de", seed=1, right=51)
    with pytest.raises(UserError, match="two results of the stage score/"):
        build_board([first.root, third.write()])

    fourth = WrittenRun(tmp_path / "d", tasks={"xnli": task("de", chance=50.0)}, sizes={"fingerprint": "another"})
    fourth.cell("none", "xnli", "de", seed=3)
    with pytest.raises(UserErrors, match="two models of one name differ in fingerprint") as error:
        build_board([first.root, fourth.write()])
    assert "two tasks of one name differ in chance" in str(error.value)


def test_tasks_stand_in_the_order_of_the_largest_group_then_as_asked_for(tmp_path):
    run = WrittenRun(tmp_path, tasks={name: task("de") for name in "edcba"})
    run.groups = {"pair": {"members": ["c", "a"], "tasks": ["c", "a"]}, "one": {"members": ["e"], "tasks": ["e"]}}
    for name in "ebdac":
        run.cell("none", name, "de", seed=1)
    assert build_board([run.write()])["task_order"] == ["c", "a", "e", "b", "d"]


def test_only_the_requests_asked_for(tmp_path):
    run = WrittenRun(tmp_path, tasks={"xnli": task("de", "fr")})
    run.cell("none", "xnli", "de", seed=1)
    run.write("aaaa")
    run.cells.clear()
    run.cell("none", "xnli", "fr", seed=1)
    run.write("bbbb")
    assert {row["lang"] for row in build_board([tmp_path])["rows"]} == {"de", "fr"}
    assert {row["lang"] for row in build_board([tmp_path], requests=["bbbb.json"])["rows"]} == {"fr"}


def test_folders_that_are_no_runs_and_files_that_are_no_requests(tmp_path):
    with pytest.raises(UserError, match="no run here"):
        build_board([tmp_path])
    write_json(tmp_path / "requests" / "a.json", {"schema": 2})
    with pytest.raises(UserError, match="expected: schema 1"):
        build_board([tmp_path])
    write_json(tmp_path / "requests" / "a.json", {"schema": 1, "models": {}, "tasks": {}, "cells": [{"model": "m"}], "extra": 1})
    with pytest.raises(UserErrors, match=r"a\.json cells\.0\.intermediate: Field required"):
        build_board([tmp_path])
    (tmp_path / "requests" / "a.json").write_text("{")
    with pytest.raises(UserError, match="not JSON"):
        build_board([tmp_path])


@pytest.mark.parametrize("kind", ["model", "task"])
def test_a_cell_of_a_model_or_task_that_its_request_does_not_describe_is_refused(tmp_path, kind):
    run = WrittenRun(tmp_path, tasks={"xnli": task("de")})
    run.cell("none", "xnli", "de", seed=1)
    run.cells.append({**run.cells[0], kind: "unheard_of"})
    with pytest.raises(UserError, match=rf"cells\.1\.{kind}: a cell of a {kind} that the file does not describe"):
        build_board([run.write()])


def test_scores_and_statistics_that_do_not_belong_together_are_refused(tmp_path):
    run = WrittenRun(tmp_path, tasks={"xnli": task("de")})
    path = run.cell("none", "xnli", "de", seed=1, right=50).folder(tmp_path) / "score.json"
    score = read_json(path)
    score["score"]["value"] = 99.0
    write_json(path, score)
    seal_again(path.parent)
    with pytest.raises(UserError, match="score and statistics do not belong together"):
        build_board([run.write()])


def test_the_board_names_what_it_rests_on_and_nothing_of_this_machine(tmp_path):
    text = board_text([nli(tmp_path / "run").write()], tmp_path / "board.json")
    board = json.loads(text)
    row = next(row for row in board["rows"] if (row["intermediate"], row["task"]) == ("mnli", "xnli"))
    first, second = (board["stages"][name] for name in row["stages"]["train"])
    assert second["inputs"] == [row["stages"]["train"][0]]
    assert first["facts"]["steps"] == 1250
    assert first["data"] == {"model.fingerprint": "f00d", "tasks.0.data.en": "abc"}
    assert first["settings"] == {"training": {"batch_size": 8}, "seed": 1}
    assert board["stages"][row["stages"]["predict"]]["data"] == {
        "data": f"rows-xnli-{row['lang']}",
        "model.fingerprint": "f00d",
    }
    assert board["environments"][first["environments"][0]] == {"commit": "c0ffee", "versions": {"torch": "2.13.0"}}
    assert board["models"]["tiny"]["path"] == "tiny"
    assert row["metrics"]["accuracy.accuracy"]["signature"].startswith("accuracy|")
    assert str(tmp_path) not in text
    assert "/home/" not in text
    assert "seconds" not in text


def test_paths_lose_their_folders_and_addresses_do_not():
    text = "see /srv/data/a b/c.json:3 and '/x/y' at https://example.org/a/b or hub org/name, 1/2, ./local/file, ~/home/file"
    assert portable(text) == "see a b/c.json:3 and 'y' at https://example.org/a/b or hub org/name, 1/2, ./local/file, ~/home/file"
    assert portable({"/a/b": ["/c/d", 1, None]}) == {"b": ["d", 1, None]}


def test_a_board_that_does_not_fit_the_schema_is_not_written(tmp_path):
    board = build_board([nli(tmp_path / "run").write()])
    for broken, place in (
        ({**board, "surprise": 1}, r"\$"),
        ({**board, "schema_version": 2}, r"\$\.schema_version"),
        (
            {**board, "rows": [{**board["rows"][0], "score": {"value": "high", "low": 0, "high": 1}}]},
            r"\$\.rows\[0\]\.score\.value",
        ),
    ):
        with pytest.raises(UserError, match=place):
            write_board(broken, tmp_path / "board.json")
    assert not (tmp_path / "board.json").exists()


def test_a_sample_and_the_whole_are_lines_of_their_own(tmp_path):
    whole, sample = nli(tmp_path / "a"), nli(tmp_path / "b", limit=100)
    board = build_board([whole.write(), sample.write()])
    assert entry(board, "xnli", "mnli", limit=None)["lift"]["value"] == pytest.approx(10)
    assert entry(board, "xnli", "mnli", limit=100)["partial"]
    assert "| mnli (limit 100) |" in markdown(board)


def test_the_board_needs_neither_torch_nor_transformers():
    code = "import sys, harness.report.board.board, harness.report.board.markdown; "
    code += "sys.exit(bool({'torch', 'transformers', 'datasets'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=ROOT).returncode == 0
