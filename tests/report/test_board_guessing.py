"""What a board says of arms that have learnt nothing, of seeds that an intermediate phase spoilt, and of what is out of reach."""

import json

import pytest
from printed_pages import unbroken
from written_runs import WrittenRun, task

from harness.report.board.board import build_board, check_board
from harness.report.board.markdown import markdown
from harness.runtime.stages import write_text

LEVEL = 33.3


def board_of(run):
    board = build_board([run.write()])
    check_board(board)
    return board, markdown(board)


def section(page, title):
    return page.split(f"## {title}\n")[1].split("\n## ")[0]


def entry(board, intermediate):
    (found,) = (e for e in board["task_scores"] if e["intermediate"] == intermediate)
    return found


@pytest.mark.parametrize(
    ("without", "after", "marked"),
    [(70, 80, False), (33, 80, True), (70, 20, True), (38, 80, True), (50, 80, False)],
)
def test_the_lift_of_an_arm_at_the_level_of_guessing_is_marked_in_its_cell(tmp_path, without, after, marked):
    run = WrittenRun(tmp_path, tasks={"xnli": task("de", chance=LEVEL)})
    run.groups = {"all": {"members": ["xnli"], "tasks": ["xnli"]}}
    run.cell("none", "xnli", "de", seed=1, right=without)
    run.cell("mnli", "xnli", "de", seed=1, right=after)
    board, page = board_of(run)
    assert entry(board, "mnli")["lift_at_guessing"] is marked
    assert (entry(board, "none")["at_guessing"], entry(board, "mnli")["at_guessing"]) == (without < 40, after == 20)
    line = next(line for line in section(page, "Lift").splitlines() if line.startswith("| tiny"))
    assert line.count("§") == (2 if marked else 0)  # the task and its group
    assert ("§ a side of it has learnt nothing" in section(page, "Lift")) is marked
    assert ("§" in section(page, "Languages")) is marked
    assert "§" not in section(page, "Scores")


def test_a_training_that_says_of_itself_that_it_learnt_nothing_marks_the_lift(tmp_path):
    run = WrittenRun(tmp_path, tasks={"xnli": task("de", chance=LEVEL)})
    run.cell("none", "xnli", "de", seed=1, right=70)
    before = run.train_stage("mnli", seed=1, degenerate="final loss 1.2 is worse than that of guessing")
    run.cell("mnli", "xnli", "de", seed=1, right=80, chain=[before, run.train_stage("xnli", parent=before, seed=1)])
    board, page = board_of(run)
    found = entry(board, "mnli")
    assert (found["lift_at_guessing"], found["degenerate_seeds"], found["degenerate_before"]) == (True, [1], [1])
    assert "Degenerate: tiny + mnli (quick), xnli: seed 1 of 1 (its intermediate phase has learnt nothing)." in page


def test_a_target_that_learnt_nothing_after_a_sound_intermediate_phase_is_told_as_its_own_doing(tmp_path):
    run = WrittenRun(tmp_path, tasks={"xnli": task("de", chance=LEVEL)})
    for seed in (1, 2):
        before = run.train_stage("mnli", seed=seed, degenerate="nothing" if seed == 2 else None)
        target = run.train_stage("xnli", parent=before, seed=seed, degenerate="nothing" if seed == 1 else None)
        run.cell("mnli", "xnli", "de", seed=seed, right=80, chain=[before, target])
    board, page = board_of(run)
    assert (entry(board, "mnli")["degenerate_seeds"], entry(board, "mnli")["degenerate_before"]) == ([1, 2], [2])
    assert "xnli: seeds 1, 2 of 2 (its intermediate phase has learnt nothing with seed 2)." in unbroken(page)


def test_the_table_of_seeds_stars_means_over_what_is_incomplete(tmp_path):
    run = WrittenRun(tmp_path, tasks={"xnli": task("de", "sw"), "pairs": task("de")})
    for seed in (1, 2):
        for name, lang in (("xnli", "de"), ("xnli", "sw"), ("pairs", "de")):
            run.cell("none", name, lang, seed=seed, right=60 + seed, finished=(name, lang) != ("xnli", "sw"))
    _, page = board_of(run)
    line = next(line for line in section(page, "Seeds").splitlines() if line.startswith("| tiny"))
    assert "| *61.5; *61.5 sd 0.7 (2) |" in line
    assert "| 61.5; 61.5 sd 0.7 (2) |" in line


def test_what_the_oracle_cannot_reach_is_explained_with_the_answers(tmp_path):
    tasks = {"mlqa": task("es", kind="span_qa", score=("mlqa.exact_match", "mlqa.f1"), chance=0, trained=False)}
    run = WrittenRun(tmp_path, tasks=tasks, model="oracle", sizes={"adapter": "fake"})
    golds = [["casa"], ["una"], ["el mar", "mar"], ["la"]]
    given = [
        {"id": f"q{n}", "prediction": gold[0], "gold": gold, "notes": [], "num_truncated": 0} for n, gold in enumerate(golds)
    ]
    run.cell("none", "mlqa", "es", total=4, given=given)
    predict = tmp_path / run.cells[0]["predict"]
    write_text(predict / "predictions.jsonl", "".join(json.dumps(line) + "\n" for line in given))
    board, page = board_of(run)
    (ceiling,) = board["ceilings"]
    assert (ceiling["examples"], ceiling["of"], ceiling["ids"]) == (2, 4, ["q1", "q3"])
    assert ceiling["score"] == pytest.approx(75)  # exact match 100, F1 50: as by MLQA's script
    assert "oracle, mlqa in es: 75.00 is the most there is: 2 of 4 examples cannot be answered to the full" in unbroken(page)
    assert '["una"] (id q1), ["la"] (id q3).' in unbroken(page)


def test_an_oracle_that_reaches_100_and_other_models_are_not_explained(tmp_path):
    tasks = {"xnli": task("de", trained=False)}
    for model, right in (("oracle", 100), ("random", 40)):
        run = WrittenRun(tmp_path / model, tasks=tasks, model=model, sizes={"adapter": "fake"})
        run.cell("none", "xnli", "de", right=right)
        assert board_of(run)[0]["ceilings"] == []


def test_an_example_with_nothing_to_find_is_no_example_that_cannot_be_answered(tmp_path):
    tasks = {"panx": task("de", kind="tagging", score=("entity_f1.f1",), chance=0, trained=False)}
    run = WrittenRun(tmp_path, tasks=tasks, model="oracle", sizes={"adapter": "fake"})
    tags = [(["O", "O"], ["O", "O"]), (["B-PER"], ["B-PER"]), (["B-LOC"], ["O"])]
    given = [{"id": f"{n}", "prediction": b, "gold": a, "notes": [], "num_truncated": 0} for n, (a, b) in enumerate(tags)]
    run.cell("none", "panx", "de", total=3, given=given)
    (ceiling,) = board_of(run)[0]["ceilings"]
    assert (ceiling["ids"], ceiling["golds"]) == (["2"], [])  # the predictions do not lie beside the score
