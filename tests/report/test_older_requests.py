"""A run folder survives a change of mind: the newest request of a cell counts, older ones are listed with what differs."""

import pytest
from printed_pages import unbroken
from written_runs import WrittenRun, task

from harness.api.errors import UserError
from harness.report.board.board import build_board, check_board
from harness.report.board.markdown import markdown
from harness.report.record.dates import claimed_date, date_in, remembered_data_dir
from harness.report.record.gather import gather
from harness.report.record.schema import read_request
from harness.runtime.stages import write_json

MONDAY, TUESDAY = "2026-11-23T09:00:00.000Z", "2026-11-24T09:00:00.000Z"


def requests(root, *days, right=(50, 80), tasks=("xnli",), langs=("de", "sw"), sizes=({}, {})):
    """The same cells asked for on some days, with other test rows each day; `days` are the dates by name of the file."""
    for number, (name, date) in enumerate(days):
        run = WrittenRun(root, tasks={each: task(*langs) for each in tasks}, sizes=sizes[number])
        run.extra = {"date": date}
        for each in tasks if number == 0 else tasks[:1]:
            for lang in langs:
                run.cell("none", each, lang, seed=1, right=right[number], rows=f"rows{number}")
        run.write(name)
    return root


def test_the_newest_request_of_a_cell_counts_whatever_its_file_is_called(tmp_path):
    for name, days in {"a": (("bb", MONDAY), ("aa", TUESDAY)), "b": (("aa", MONDAY), ("bb", TUESDAY))}.items():
        run = requests(tmp_path / name, *days)
        board = build_board([run])
        check_board(board)
        assert [row["score"]["value"] for row in board["rows"]] == [80.0, 80.0]
        (older,) = board["older"]
        assert (older["date"], older["languages"], older["cells"], older["is_replaced"]) == (MONDAY, ["de", "sw"], 2, True)
        assert older["differs"] == ["test rows"]
        page = unbroken(markdown(board))
        assert "- Older: of 2026-11-23 09:00:00 UTC: tiny + none (quick), xnli in de, sw, seed 1: differs in test rows." in page
        assert "## Older results" not in page
        assert "| 2026-11-23 09:00:00 UTC | tiny + none (quick) | xnli | de, sw    |" in markdown(board, older=True)


def test_requests_without_a_date_are_older_than_those_with_one_and_contradict_each_other(tmp_path):
    assert [row["score"]["value"] for row in build_board([requests(tmp_path / "a", ("bb", ""), ("aa", MONDAY))])["rows"]] == [
        80.0
    ] * 2
    with pytest.raises(UserError, match=r"(?s)two different results for one cell: .*give the right command once more"):
        build_board([requests(tmp_path / "b", ("bb", ""), ("aa", ""))])


def test_what_is_asked_again_in_vain_leaves_what_there_was(tmp_path):
    run = WrittenRun(tmp_path, tasks={"xnli": task("de")})
    run.extra = {"date": MONDAY}
    run.cell("none", "xnli", "de", seed=1, right=60)
    run.write("aa")
    run.cells = [{**run.cells[0], "score": None, "predict": None, "train": [], "blocked": "no rows here"}]
    run.extra = {"date": TUESDAY}
    run.write("bb")
    board = build_board([tmp_path])
    assert [row["score"]["value"] for row in board["rows"]] == [60.0]
    assert (board["missing"], board["older"]) == ([], [])


def test_an_unfinished_request_hides_the_older_result_and_says_so(tmp_path):
    root = requests(tmp_path, ("aa", MONDAY), ("bb", TUESDAY), langs=("de",))
    (cell,) = read_request(root / "requests" / "bb.json").cells
    for stage in (cell.predict, cell.score):
        (root / stage / "done.json").unlink()
    board = build_board([root])
    assert [entry["reason"] for entry in board["missing"]] == ["not finished"]
    assert board["rows"] == []
    assert len(board["older"]) == 1


def test_cells_of_a_model_that_is_another_one_now_stand_on_no_board_and_are_listed(tmp_path):
    sizes = ({"dtype": "float32"}, {"dtype": "bfloat16"})
    root = requests(tmp_path, ("aa", MONDAY), ("bb", TUESDAY), tasks=("xnli", "pairs"), sizes=sizes)
    board = build_board([root])
    assert {row["task"] for row in board["rows"]} == {"xnli"}
    found = {(entry["task"], entry["is_replaced"]): entry["differs"] for entry in board["older"]}
    assert found == {
        ("xnli", True): ["model tiny: dtype float32 → bfloat16", "test rows"],
        ("pairs", False): ["model tiny: dtype float32 → bfloat16"],
    }
    page = unbroken(markdown(board))
    assert "pairs in de, sw, seed 1: differs in model tiny: dtype float32 → bfloat16; nothing stands in its place." in page
    assert board["models"]["tiny"]["dtype"] == "bfloat16"


def test_a_folder_with_a_copy_of_what_another_has_given_up_does_not_contradict_it(tmp_path):
    both = requests(tmp_path / "a", ("aa", MONDAY), ("bb", TUESDAY), langs=("de",))
    first = requests(tmp_path / "b", ("aa", MONDAY), langs=("de",))
    for roots in ((both, first), (first, both)):
        assert [row["score"]["value"] for row in build_board(roots)["rows"]] == [80.0]


def test_overlaps_and_declarations_are_those_of_the_newest_request(tmp_path):
    run = WrittenRun(tmp_path, tasks={"xnli": task("de")})
    run.cell("none", "xnli", "de", seed=1)
    for name, date, n in (("bb", MONDAY, 3), ("aa", TUESDAY, 5)):
        overlap = {"train": "xnli train", "test": "xnli", "lang": "de", "n": n}
        run.extra = {"date": date, "overlaps": [overlap], "declared": {"mnli": date}}
        run.write(name)
    material = gather([tmp_path])
    assert [overlap.n for overlap in material.overlaps] == [5]
    assert material.declared == {"mnli": TUESDAY}


def test_a_date_is_kept_until_another_command_comes_between(tmp_path):
    one, other = tmp_path / "1.json", tmp_path / "2.json"
    write_json(one, {"date": MONDAY, "data_dir": "/somewhere/a"})
    assert claimed_date(one) == MONDAY
    write_json(other, {"date": claimed_date(other), "data_dir": None})
    assert date_in(other) > MONDAY
    assert claimed_date(other) == date_in(other)
    write_json(one, {"date": claimed_date(one), "data_dir": "/somewhere/a"})
    assert date_in(one) > date_in(other)
    write_json(other, {"date": "2999-01-01T00:00:00.000Z"})  # by a clock that was ahead
    assert claimed_date(one) == "2999-01-01T00:00:00.001Z"
    other.write_text("[1")
    assert (date_in(other), claimed_date(one)) == ("", date_in(one))


def test_the_data_folder_is_that_of_the_newest_command(tmp_path):
    assert remembered_data_dir([tmp_path]) is None
    write_json(tmp_path / "requests" / "1.json", {"date": TUESDAY, "data_dir": "/somewhere/a"})
    write_json(tmp_path / "requests" / "2.json", {"date": MONDAY, "data_dir": "/somewhere/b"})
    assert str(remembered_data_dir([tmp_path])) == "/somewhere/a"
