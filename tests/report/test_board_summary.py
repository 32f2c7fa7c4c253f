"""What a run prints at its end: a screen with scores, n and lifts, what is not as it should be, and where the rest is."""

import re

from printed_pages import too_wide, unbroken
from written_runs import WrittenRun, nli, task

from harness.report.board.board import build_board
from harness.report.board.markdown import markdown
from harness.report.board.summary import PAGE_FILE, summary


def computed(dtype, device="cpu"):
    return {"arithmetic": {"device": device, "dtype": dtype, "threads": 1, "processes": 1}}


def test_each_task_has_its_n_score_and_lift_on_a_line(tmp_path):
    run = nli(tmp_path)
    page = summary(build_board([run.write()]), run.root)
    lines = [re.split(r" *\| *", line)[1:-1] for line in page.splitlines() if line.startswith("| ")]
    assert lines[0] == ["task", "n", "none", "mnli", "lift"]
    assert lines[2] == ["xnli", "300", "71.0 [66.3, 75.3]", "†81.0 [77.0, 84.7]", "†+10.0 [+7.0, +13.3]"]
    assert lines[-2][:2] == ["all", "–"]  # a mean over tasks has no n of its own
    assert "† the intermediate setting trains on the target's own training data." in unbroken(page)
    assert too_wide(page) == []
    assert len(page.splitlines()) < 40


def test_what_is_missing_or_failed_is_counted_and_the_first_is_named(tmp_path):
    langs = ("de", "fr", "sw", "th", "ur")
    run = WrittenRun(tmp_path, tasks={f"t{number}": task(*langs) for number in range(5)})
    for number in range(5):
        run.cell("none", f"t{number}", "de", seed=1, right=60)
        failed = run.cell("none", f"t{number}", "sw", seed=1, finished=False)
        run.extra.setdefault("failures", []).append({"stage": failed.inputs[0].name, "error": "out of memory\nin a line"})
    page = unbroken(summary(build_board([run.write()]), run.root))
    assert "- 5 of 10 cells have no score:\n  - tiny + none (quick), t0 in sw: " in page
    assert "- 5 stages failed:\n  - predict/tiny" in page
    assert page.count(": out of memory in a line\n") == 3
    assert page.count("  - and 2 more\n") == 2


def test_a_run_in_which_all_went_well_says_nothing_of_what_did_not(tmp_path):
    run = nli(tmp_path)
    assert "## Missing, failed or degenerate" not in summary(build_board([run.write()]), run.root)


def test_the_places_of_the_rest_are_named_the_page_only_where_it_is(tmp_path):
    run = nli(tmp_path)
    board = build_board([run.write()])
    page = unbroken(summary(board, run.root, others=2))
    notes = len(re.findall("^- ", markdown(board).split("## Notes")[1], re.MULTILINE))
    assert f"all languages, trainings and {notes} notes: `run_eval.py leaderboard {run.root}`" in page
    assert "(with those of 2 more requests in this folder)" in page
    assert f"every number: {run.root / 'leaderboard.json'}" in page
    assert PAGE_FILE not in page
    (run.root / PAGE_FILE).write_text("<html></html>")
    assert str(run.root / PAGE_FILE) in summary(board, run.root)


def test_published_numbers_that_were_asked_for_stand_on_the_page(tmp_path):
    run = nli(tmp_path)
    page = summary(build_board([run.write()], references=["mt5_small"]), run.root)
    assert "| mT5-Small (text to text): mt5_small | test " in page
    assert "[R] read in a repository" in unbroken(page)
    assert too_wide(page) == []


def test_the_number_format_and_device_that_were_used_are_told(tmp_path):
    """The request asked for `auto`: what that came to is what a reader compares."""
    run = WrittenRun(tmp_path, tasks={"xnli": task("de")}, sizes={"dtype": "auto"})
    run.cell("none", "xnli", "de", seed=1, facts=computed("bfloat16", "NVIDIA H100, 80 GB"))
    board = build_board([run.write()])
    assert "tiny: computed in bfloat16 on NVIDIA H100, 80 GB (1 thread)." in unbroken(summary(board, run.root))
    page = unbroken(markdown(board))
    assert "Loaded by the adapter encoder, computed in bfloat16 on NVIDIA H100, 80 GB (1 thread): tiny." in page
    assert "auto" not in page


def test_training_in_another_number_format_is_told_apart(tmp_path):
    run = WrittenRun(tmp_path, tasks={"xnli": task("de")})
    run.cell("none", "xnli", "de", seed=1, chain=[run.train_stage("xnli", **computed("float32"))], facts=computed("bfloat16"))
    page = unbroken(summary(build_board([run.write()]), run.root))
    assert "tiny: trained in float32 on cpu (1 thread), predicted in bfloat16 on cpu (1 thread)." in page


def test_one_seed_has_no_table_of_seeds_and_a_pitfall_stands_once(tmp_path):
    folders = []
    for name in ("small", "large"):
        run = WrittenRun(tmp_path / name, tasks={"xnli": task("de")}, model=name, sizes={"pitfalls": ["It bites."]})
        chain = [run.train_stage("xnli", degenerate="nothing learnt")]
        run.cell("none", "xnli", "de", seed=1, right=33, chain=chain)
        folders.append(run.write())
    page = markdown(build_board(folders))
    assert "Degenerate seeds: 2" in page
    assert "| " not in page.split("## Seeds")[1].split("\n## ")[0]
    assert page.count("It bites.") == 1
    assert "- large, small: It bites." in page or "- small, large: It bites." in page


def test_languages_stand_in_one_order_wherever_they_are_listed(tmp_path):
    run = WrittenRun(tmp_path, tasks={"xnli": task("th", "sw", "en", "de", "ar")})
    for lang in ("th", "en", "de"):
        run.cell("none", "xnli", lang, seed=1)
    for lang in ("sw", "ar"):
        run.cell("none", "xnli", lang, seed=1, finished=False)
    run.extra["overlaps"] = [{"train": "mnli train", "test": "xnli", "lang": lang, "n": 3} for lang in ("th", "en", "de")]
    page = markdown(build_board([run.write()]))
    assert re.findall(r"^\| (\w\w) +\|", page, re.MULTILINE) == ["en", "de", "th"]
    assert "2 cells: ar (seed 1), sw (seed 1): not finished." in unbroken(page)
    assert "test rows of xnli: en 3, de 3, th 3." in unbroken(page)
