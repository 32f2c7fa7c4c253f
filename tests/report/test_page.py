"""The page of a board: what it holds, that nothing in it acts, that it needs no network and comes out the same again."""

import json
import re
from pathlib import Path

import pytest
from made_up_boards import made_up_board
from page_reader import HOSTILE, SHOWN, Reader, data_of, small_board, with_study
from written_runs import nli

import run_eval
from harness.report.board.board import build_board, check_board
from harness.report.page.page import page, script_text, write_page


def test_the_made_up_board_is_one():
    check_board(small_board(seeds=(1, 2)))


def test_a_page_has_all_sections_and_needs_no_network(tmp_path):
    board = build_board([nli(tmp_path / "x", seeds=(1, 2)).write(), nli(tmp_path / "y", model="other", seeds=(1, 2)).write()])
    text = page(board, [tmp_path / "x", tmp_path / "y"])
    reader = Reader(text)
    assert {"short", "scores", "models", "lifts", "cells", "missing", "notes", "main", "cell"} <= reader.ids()
    assert "Did it help?" in reader.text
    assert "A note on xnli." in reader.text
    outside = [value for _, name, value in reader.attributes if name in ("src", "href", "action") and not value.startswith("#")]
    assert outside == []
    assert not {"link", "iframe", "img", "object"} & set(reader.tags)
    assert "default-src 'none'" in text
    assert len(data_of(text)["cells"]) == 2 * 2 * (3 + 2)


def test_every_id_is_there_once(tmp_path):
    with_study(tmp_path / "x")
    reader = Reader(page(small_board(), [tmp_path / "x"]))
    ids = [value for _, name, value in reader.attributes if name == "id"]
    assert sorted(ids) == sorted(set(ids))
    wanted = {value[1:] for _, name, value in reader.attributes if name == "href"}
    assert wanted <= set(ids)
    labelled = {value for _, name, value in reader.attributes if name in ("aria-labelledby", "data-searches")}
    assert labelled
    assert labelled <= set(ids)


def test_a_board_without_lifts_seeds_or_trainings_has_a_page():
    reader = Reader(page(small_board(models=["small"], settings=["none"]), []))
    assert {"scores", "cells", "missing", "notes"} <= reader.ids()
    assert not {"short", "models", "lifts"} & reader.ids()
    assert "None: every language of every task on this board has its score." in reader.text


def test_nothing_in_a_text_acts(tmp_path):
    board = made_up_board(models=[HOSTILE, "large"], settings=["none", HOSTILE], tasks={HOSTILE: ["en", "de"]})
    board["missing"] = [_missing(HOSTILE)]
    board["tasks"][HOSTILE]["notes"] = [HOSTILE]
    document = with_study(tmp_path / "y")
    document["note"] = document["description"] = document["study"] = document["hypotheses"][0]["name"] = HOSTILE
    (tmp_path / "y" / "study.json").write_text(json.dumps(document), encoding="utf-8")
    text = page(board, [tmp_path / "y"])
    reader = Reader(text)
    assert "img" not in reader.tags
    assert text.count("</script>") == reader.tags.count("script") == 3
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "49" not in re.findall(r"<!-- (\S+)", reader.text)
    assert SHOWN in "".join(reader.texts)
    data = data_of(text)
    assert SHOWN in {arm["model"] for arm in data["arms"]}
    assert SHOWN in data["texts"]


def _missing(text):
    own = {"model": text, "intermediate": text, "task": text, "lang": "de", "seed": 1, "recipe": "quick"}
    return {**own, "route": "head", "limit": None, "reason": text}


def test_text_for_a_script_is_the_same_value_and_ends_no_script():
    assert json.loads(script_text([{"loss": float("nan")}, float("inf"), 1.5])) == [{"loss": "nan"}, "inf", 1.5]
    value = {"</script>": ["<!--", "&amp;", "a\u2028b", "é漢", 1.5, None]}
    text = script_text(value)
    assert json.loads(text) == value
    assert not set("<>&\u2028") & set(text)
    assert "é漢" in text


def test_the_same_board_gives_the_same_bytes(tmp_path):
    with_study(tmp_path / "x")
    texts = {page(small_board(), [tmp_path / "x"]) for _ in range(2)}
    assert len(texts) == 1
    (text,) = texts
    write_page(text, tmp_path / "new" / "report.html")
    assert (tmp_path / "new" / "report.html").read_bytes() == text.encode()


@pytest.mark.slow
def test_five_thousand_cells_are_under_fifteen_megabytes(tmp_path):
    langs = [f"l{n}" for n in range(40)]
    tasks = {f"task{n}": langs for n in range(21)}
    board = made_up_board(models=["small", "large"], settings=["none", "mnli", "squad"], tasks=tasks)
    text = page(board, [])
    assert len(data_of(text)["cells"]) == 5040
    assert 1e6 < len(text.encode()) < 15e6


def test_what_stands_behind_a_cell_is_in_the_page():
    data = data_of(page(small_board(seeds=(0, 2)), []))
    cell = next(one for one in data["cells"] if one["lang"] == "th" and data["arms"][one["arm"]]["setting"] == "mnli")
    assert [run["seed"] for run in cell["runs"]] == [0, 2]
    run = cell["runs"][0]
    assert (run["examples"], run["unanswered"], run["truncated"]) == (500, 3, [7, 210])
    assert run["notes"] == {"no label in the answer": 2}
    stage = data["stages"][run["predict"]]
    assert stage["facts"]["tokens"] == 12_345
    assert data["shared"][stage["shared"]["arithmetic"]][0]["device"] == "cuda"
    assert data["stages"][stage["inputs"][0]]["name"].startswith("train/")
    assert len(run["lift"]) == 3


def test_a_score_without_training_stands_in_the_line_of_its_recipe(tmp_path):
    """`pairs` is not trained, so that its rows have no recipe of their own."""
    data = data_of(page(build_board([nli(tmp_path / "x").write()]), [tmp_path / "x"]))
    tasks = {data["tasks"][cell["task"]]["name"] for cell in data["cells"] if cell["runs"]}
    assert tasks == {"xnli", "pairs"}
    assert {cell["arm"] for cell in data["cells"]} == {0, 1}


def test_curves_come_from_the_logs_of_the_run_folders_and_missing_ones_are_told(tmp_path):
    root = nli(tmp_path / "x").write()
    board = build_board([root])
    trainings = [name for name in board["stages"] if name.startswith("train/")]
    assert len(trainings) == 3
    lines = [{"step": n, "loss": 2 - n / 200} for n in range(1, 201)] + [{"step": 200, "english_score": 81.5}]
    (root / trainings[0] / "log.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    (root / trainings[1] / "log.jsonl").write_text("{broken", encoding="utf-8")
    text = page(board, [root])
    charts = {chart["id"]: chart for chart in data_of(text)["charts"]}
    losses = charts["training-loss"]["rows"]
    assert {row["stage"] for row in losses} == {trainings[0].removeprefix("train/")}
    assert len(losses) == 50  # of 200 steps, four in each
    assert losses[0] == {**losses[0], "step": 4, "value": 1.9875}
    assert [row["value"] for row in charts["training-english"]["rows"]] == [81.5]
    assert "No log here of 2 trainings" in Reader(text).text


def test_the_specifications_of_all_charts_are_vega_lite(tmp_path):
    """Compiled by the package whose script draws them in the page."""
    import vl_convert

    with_study(tmp_path / "x")
    charts = data_of(page(small_board(), [tmp_path / "x"]))["charts"]
    assert [chart["id"] for chart in charts] == ["study-made_up-lifts", "study-made_up-forest", "study-made_up-scores",
                                                 "board-lifts", "board-sizes"]  # fmt: skip
    for chart in charts:
        compiled = vl_convert.vegalite_to_vega({**chart["spec"], "datasets": {"rows": chart["rows"]}})
        assert compiled["marks"]
        assert chart["columns"]
        assert set(chart["columns"]) <= {key for row in chart["rows"] for key in row}


def test_the_command_writes_the_page_and_says_where(tmp_path, capsys):
    root = nli(tmp_path / "x").write()
    target = tmp_path / "new" / "report.html"
    assert run_eval.main(["leaderboard", str(root), "--html", str(target), "--examples", "2"]) == 0
    assert f"page: {target}" in capsys.readouterr().err
    assert "scores" in Reader(target.read_text(encoding="utf-8")).ids()
    assert run_eval.main(["leaderboard", str(root), "--examples", "2"]) == 2
    assert "--html FILE" in capsys.readouterr().err
    assert run_eval.main(["leaderboard", str(root), "--html", str(tmp_path)]) == 2
    assert "this is a folder" in capsys.readouterr().err


def test_the_scripts_are_short_and_none_is_forgotten():
    from harness.report.page.page import HERE, SCRIPTS

    files = {path.stem: path for path in Path(HERE).glob("*.js")}
    assert sorted(files) == sorted(SCRIPTS)
    lengths = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in Path(HERE).iterdir() if path.is_file()}
    assert max(lengths.values()) <= 300, lengths
