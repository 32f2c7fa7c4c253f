"""Models against each other: who is ranked, on which cells, and how surely."""

import itertools
import json
import re

import pytest
from written_runs import LABELS, WrittenRun, task

from harness.report.board.board import build_board, check_board, write_board
from harness.report.board.markdown import markdown
from harness.report.board.tables import WIDTH, Column, in_blocks

ROWS = 200
SIZES = {"small": 100_000_000, "middle": 300_000_000, "large": 900_000_000}


def answers(right, *, first=0):
    """Predictions of 200 rows, right in the given ones."""
    gold = [LABELS[row % 3] for row in range(ROWS)]
    wrong = [LABELS[(row + 1) % 3] for row in range(ROWS)]
    return [
        {
            "id": f"{row + first:05d}",
            "prediction": gold[row] if row in right else wrong[row],
            "gold": gold[row],
            "notes": [],
            "num_truncated": 0,
        }
        for row in range(ROWS)
    ]


def model_run(folder, name, tasks, *, adapter="encoder", **more):
    sizes = {"parameters": 2 * SIZES.get(name, 0), "non_embedding_parameters": SIZES.get(name, 0), "adapter": adapter}
    return WrittenRun(folder / name, tasks=tasks, model=name, sizes={**sizes, **more.pop("sizes", {})}, **more)


def written(folder, cells, *, tasks=None, **more):
    """A run folder for each model of {model: {(task, lang): rows that are right}}, of one seed."""
    tasks = tasks or {"xnli": task("de")}
    found = []
    for name, own in cells.items():
        run = model_run(folder, name, tasks, **more)
        for (what, lang), right in own.items():
            run.cell("none", what, lang, seed=1, given=answers(right))
        found.append(run.write())
    return found


def column(board, name, *, intermediate="none"):
    """{model: its entry} of a column."""
    (entry,) = [entry for entry in board["standings"] if entry["intermediate"] == intermediate]
    (found,) = [found for found in entry["columns"] if found["name"] == name]
    return {own["model"]: own for own in found["entries"]}


def ranks(board, name, **more):
    places = {model: own["rank"] for model, own in column(board, name, **more).items()}
    return {model: place and (place["value"], place["best"], place["worst"]) for model, place in places.items()}


def section(board):
    return markdown(board).split("## Models compared")[1].split("\n## ")[0]


FIRST_150, FIRST_140 = range(150), range(140)
AS_MANY = {*range(1, 140), 199}


def test_ranks_of_a_case_worked_by_hand(tmp_path):
    """Of 200 rows: large beats small in 10 and loses in none (paired z 3.2), beats middle in 11 and loses in 1 (z 2.9)."""
    cells = {"large": {("xnli", "de"): FIRST_150}, "small": {("xnli", "de"): FIRST_140}, "middle": {("xnli", "de"): AS_MANY}}
    board = build_board(written(tmp_path, cells))
    check_board(board)
    assert ranks(board, "xnli") == {"small": (2, 2, 3), "middle": (2, 2, 3), "large": (1, 1, 1)}
    own = column(board, "xnli")["large"]
    (whole,) = [entry for entry in board["task_scores"] if entry["model"] == "large"]
    assert own["score"] == whole["score"]
    assert (own["num_seeds"], own["why"]) == (1, "")
    table = [line for line in section(board).splitlines() if line.startswith("| ")]
    texts = [
        re.split(r" *\| *", re.sub(r" \[\d+\.\d, \d+\.\d\]", "", line))[1:-1] for line in table if not line.startswith("| :")
    ]
    assert texts == [
        ["model", "parameters", "xnli", "rank"],
        ["small", "200M (100M)", "70.0", "2 (2-3)"],
        ["middle", "600M (300M)", "70.0", "2 (2-3)"],
        ["large", "1.8B (900M)", "75.0", "1"],
    ]


def test_models_are_paired_by_their_test_examples(tmp_path):
    """The same two scores: one model right wherever the other is, or on rows of its own."""
    nested = {"large": {("xnli", "de"): FIRST_150}, "small": {("xnli", "de"): FIRST_140}}
    apart = {"large": {("xnli", "de"): FIRST_150}, "small": {("xnli", "de"): range(60, 200)}}
    assert ranks(build_board(written(tmp_path / "nested", nested)), "xnli") == {"small": (2, 2, 2), "large": (1, 1, 1)}
    assert ranks(build_board(written(tmp_path / "apart", apart)), "xnli") == {"small": (2, 1, 2), "large": (1, 1, 2)}


def test_equal_models_share_a_rank(tmp_path):
    cells = {name: {("xnli", "de"): FIRST_140} for name in SIZES}
    assert ranks(build_board(written(tmp_path, cells)), "xnli") == dict.fromkeys(SIZES, (1, 1, 3))


def test_the_variance_between_seeds_is_in_ranks_and_scores(tmp_path):
    """Large is 15 points better on the same rows in each seed, but seeds differ by 20 points."""
    folders = []
    for name, rights in (("large", (150, 110)), ("small", (120, 80))):
        run = model_run(tmp_path, name, {"xnli": task("de")})
        for seed, right in enumerate(rights, 1):
            run.cell("none", "xnli", "de", seed=seed, given=answers(range(right)))
        folders.append(run.write())
    board = build_board(folders)
    assert ranks(board, "xnli") == {"small": (2, 1, 2), "large": (1, 1, 2)}
    own = column(board, "xnli")["large"]
    assert own["num_seeds"] == 2
    assert own["score"]["value"] == pytest.approx(65)
    assert own["score"]["high"] - own["score"]["low"] > 40
    assert "variance between them" in section(board)
    one_seed = {"large": {("xnli", "de"): range(130)}, "small": {("xnli", "de"): range(100)}}
    board = build_board(written(tmp_path / "one", one_seed))
    assert ranks(board, "xnli") == {"small": (2, 2, 2), "large": (1, 1, 1)}
    assert "variance between them" not in section(board)


def test_a_model_of_one_seed_varies_as_the_others_do(tmp_path):
    folders = []
    for name, rights in (("large", (150, 110)), ("small", (100,))):
        run = model_run(tmp_path, name, {"xnli": task("de")})
        for seed, right in enumerate(rights, 1):
            run.cell("none", "xnli", "de", seed=seed, given=answers(range(right)))
        folders.append(run.write())
    board = build_board(folders)
    half = {model: own["score"]["high"] - own["score"]["value"] for model, own in column(board, "xnli").items()}
    assert half["small"] > 1.2 * half["large"] > 10
    assert ranks(board, "xnli") == {"small": (2, 1, 2), "large": (1, 1, 2)}


def test_languages_that_one_model_was_not_asked_for_do_not_count(tmp_path):
    """On fr large is far worse; small has no fr, and on what both have large is the better one."""
    tasks = {"xnli": task("de", "fr", "sw")}
    common = {("xnli", "de"): FIRST_150, ("xnli", "sw"): FIRST_150}
    large = {**common, ("xnli", "fr"): range(10)}
    small = {("xnli", "de"): range(100), ("xnli", "sw"): range(100)}
    board = build_board(written(tmp_path, {"large": large, "small": small}, tasks=tasks))
    assert ranks(board, "xnli") == {"small": (2, 2, 2), "large": (1, 1, 1)}
    (found,) = board["standings"][0]["columns"]
    assert found["languages"] == {"xnli": ["de", "sw"]}
    assert found["left_out"] == {"xnli": {"fr": "no score of small"}}
    assert column(board, "xnli")["large"]["score"]["value"] == pytest.approx(75)
    assert "- xnli without fr: no score of small." in section(board)
    assert re.search(r"\| large .*\| \*75\.0", section(board))
    many = {("xnli", lang): FIRST_150 for lang in ("de", "fr", "sw")}
    board = build_board(written(tmp_path / "b", {"large": many, "small": {("xnli", "de"): range(100)}}, tasks=tasks))
    assert "- xnli over de alone, without 2 others: no score of small." in section(board)


def test_what_cannot_be_had_costs_the_language_and_what_is_not_finished_the_rank(tmp_path):
    tasks = {"xnli": task("de", "fr")}
    folders = []
    for name in SIZES:
        run = model_run(tmp_path, name, tasks)
        run.cell("none", "xnli", "de", seed=1, given=answers(FIRST_150))
        run.cell("none", "xnli", "fr", seed=1, given=answers(FIRST_150), finished=name != "middle")
        folders.append(run.write())
    board = build_board(folders)
    assert ranks(board, "xnli") == {"small": (1, 1, 2), "middle": None, "large": (1, 1, 2)}
    assert column(board, "xnli")["middle"]["why"] == "fr not finished"
    assert board["standings"][0]["columns"][0]["languages"] == {"xnli": ["de", "fr"]}
    assert "- middle has no rank in xnli: fr not finished." in section(board)
    run.cells.clear()
    run.cell("none", "xnli", "de", seed=1, given=answers(FIRST_150))
    run.cells.append({**run.cells[0], "lang": "fr", "score": None, "predict": None, "blocked": "no rows of fr here"})
    run.write()
    board = build_board(folders)
    assert ranks(board, "xnli") == {"small": (1, 1, 2), "middle": None, "large": (1, 1, 2)}
    assert board["standings"][0]["columns"][0]["left_out"] == {"xnli": {"fr": "no score of large"}}


def test_languages_with_other_test_examples_do_not_count(tmp_path):
    tasks = {"xnli": task("de", "fr")}
    folders = []
    for name, first in (("small", 0), ("large", 7)):
        run = model_run(tmp_path, name, tasks)
        run.cell("none", "xnli", "de", seed=1, given=answers(FIRST_150))
        run.cell("none", "xnli", "fr", seed=1, given=answers(FIRST_150, first=first))
        folders.append(run.write())
    board = build_board(folders)
    assert board["standings"][0]["columns"][0]["languages"] == {"xnli": ["de"]}
    assert "- xnli without fr: test examples differ between models." in section(board)


def test_each_intermediate_setting_has_a_table_of_its_own(tmp_path):
    folders = []
    for name, none, mnli in (("small", 100, 190), ("large", 150, 160)):
        run = model_run(tmp_path, name, {"xnli": task("de")})
        run.cell("none", "xnli", "de", seed=1, given=answers(range(none)))
        run.cell("mnli", "xnli", "de", seed=1, given=answers(range(mnli)))
        folders.append(run.write())
    board = build_board(folders)
    assert [entry["intermediate"] for entry in board["standings"]] == ["none", "mnli"]
    assert ranks(board, "xnli") == {"small": (2, 2, 2), "large": (1, 1, 1)}
    assert ranks(board, "xnli", intermediate="mnli") == {"small": (1, 1, 1), "large": (2, 2, 2)}
    none, mnli = section(board).split("### ")[1:]
    assert none.startswith("none\n")
    assert mnli.startswith("mnli\n")
    assert re.search(r"\| small .*\| +50\.0 .*\| 2 ", none)
    assert re.search(r"\| small .*\| +95\.0 .*\| 1 ", mnli)


def test_fakes_stand_in_the_table_without_a_rank(tmp_path):
    tasks = {"xnli": task("de")}
    folders = written(tmp_path, {"small": {("xnli", "de"): range(100)}, "large": {("xnli", "de"): FIRST_150}}, tasks=tasks)
    fake = model_run(tmp_path, "oracle", tasks, adapter="fake")
    fake.cell("none", "xnli", "de", given=answers(range(ROWS)), chain=[])
    board = build_board([*folders, fake.write()])
    assert ranks(board, "xnli") == {"oracle": None, "small": (2, 2, 2), "large": (1, 1, 1)}
    assert column(board, "xnli")["oracle"]["score"]["value"] == 100
    assert "oracle: made-up answers, which take no rank." in section(board)
    assert re.search(r"\| oracle .*\| 100\.0 \[100\.0, 100\.0\] \| – ", section(board))
    for alone in ([folders[0]], [folders[0], fake.root]):
        board = build_board(alone)
        assert board["standings"] == []
        assert "Models compared" not in markdown(board)


def test_groups_and_all_tasks_have_ranks_where_nothing_is_missing(tmp_path):
    tasks = {"xnli": task("de"), "pawsx": task("de"), "panx": task("de")}
    group = {"pairs": {"members": ["xnli", "pawsx"], "tasks": ["xnli", "pawsx"]}, "one": {"members": ["panx"], "tasks": ["panx"]}}
    cells = {
        "small": {("xnli", "de"): range(100), ("pawsx", "de"): range(150), ("panx", "de"): range(20)},
        "middle": {("xnli", "de"): range(120), ("pawsx", "de"): range(110), ("panx", "de"): range(200)},
        "large": {("xnli", "de"): range(190), ("panx", "de"): range(40)},
    }
    board = build_board(written(tmp_path, cells, tasks=tasks, groups=group))
    names = [found["name"] for found in board["standings"][0]["columns"]]
    assert names == ["xnli", "pawsx", "panx", "pairs", "all 3 tasks"]
    assert ranks(board, "xnli") == {"small": (3, 3, 3), "middle": (2, 2, 2), "large": (1, 1, 1)}
    assert ranks(board, "pairs") == {"small": (1, 1, 1), "middle": (2, 2, 2), "large": None}
    assert column(board, "pairs")["small"]["score"]["value"] == pytest.approx(62.5)
    assert column(board, "pairs")["large"]["why"] == "some of its tasks or languages are missing"
    assert ranks(board, "all 3 tasks") == {"small": (2, 2, 2), "middle": (1, 1, 1), "large": None}
    assert column(board, "all 3 tasks")["middle"]["score"]["value"] == pytest.approx((60 + 55 + 100) / 3)
    assert "- large has no rank in pawsx: not asked for it." in section(board)
    assert "- large has no rank in all 3 tasks: not ranked in pawsx." in section(board)


def test_seeds_of_all_tasks_are_drawn_together(tmp_path):
    """Seed 1 is good at one task and bad at the other: their mean does not vary between seeds, though each of them does."""
    tasks = {"xnli": task("de"), "pawsx": task("de"), "tatoeba": task("de", trained=False)}
    folders = []
    for name, more in (("small", 0), ("large", 12)):
        run = model_run(tmp_path, name, tasks)
        for seed, right in ((1, 80), (2, 120)):
            run.cell("none", "xnli", "de", seed=seed, given=answers(range(right + more)))
            run.cell("none", "pawsx", "de", seed=seed, given=answers(range(200 - right + more)))
        run.cell("none", "tatoeba", "de", given=answers(range(100 + more)))
        folders.append(run.write())
    board = build_board(folders)
    assert ranks(board, "xnli") == {"small": (2, 1, 2), "large": (1, 1, 2)}
    assert ranks(board, "all 3 tasks") == {"small": (2, 2, 2), "large": (1, 1, 1)}
    assert [own["num_seeds"] for own in column(board, "all 3 tasks").values()] == [2, 2]
    over_seeds = {found["name"]: found["over_seeds"] for found in board["standings"][0]["columns"]}
    assert over_seeds == {"xnli": True, "pawsx": True, "tatoeba": False, "all 3 tasks": True}


def test_all_tasks_are_not_told_twice_where_a_group_is_all_of_them(tmp_path):
    tasks = {"xnli": task("de"), "pawsx": task("de")}
    cells = {name: {("xnli", "de"): FIRST_150, ("pawsx", "de"): FIRST_140} for name in SIZES}
    group = {"both": {"members": ["xnli", "pawsx"], "tasks": ["xnli", "pawsx"]}}
    assert "all 2 tasks" in section(build_board(written(tmp_path / "a", cells, tasks=tasks)))
    assert "all 2 tasks" not in section(build_board(written(tmp_path / "b", cells, tasks=tasks, groups=group)))


@pytest.mark.parametrize("differ", [{"limit": 100}, {"recipe": "other"}])
def test_lines_that_differ_in_more_than_the_model_are_never_compared(tmp_path, differ):
    tasks = {"xnli": task("de")}
    one, other = model_run(tmp_path, "small", tasks), model_run(tmp_path, "large", tasks, **differ)
    for run in (one, other):
        run.cell("none", "xnli", "de", seed=1, given=answers(FIRST_150))
    board = build_board([one.write(), other.write()])
    assert board["standings"] == []
    more = {"limit": " (limit 100)", "recipe": " (other)"}[next(iter(differ))]
    assert re.search(rf"\nNot compared: small \+ none.*, large \+ none{re.escape(more)}\. Lines", section(board))
    assert "|" not in section(board)
    third = model_run(tmp_path, "middle", tasks)
    third.cell("none", "xnli", "de", seed=1, given=answers(FIRST_150))
    board = build_board([one.root, other.root, third.write()])
    assert ranks(board, "xnli") == {"small": (1, 1, 2), "middle": (1, 1, 2)}
    assert f"\nNot compared: large + none{more}. Lines" in section(board)


def test_ways_of_asking_are_never_mixed(tmp_path):
    folders = []
    for name, route in (("small", "head"), ("large", "prompt 0-shot")):
        run = model_run(tmp_path, name, {"xnli": task("de", trained=False)})
        run.cell("none", "xnli", "de", given=answers(FIRST_150), route=route)
        folders.append(run.write())
    assert build_board(folders)["standings"] == []


def test_a_model_that_nothing_was_trained_for_is_compared_where_the_others_were_not_trained_either(tmp_path):
    tasks = {"xnli": task("de"), "tatoeba": task("de", trained=False)}
    group = {"both": {"members": ["xnli", "tatoeba"], "tasks": ["xnli", "tatoeba"]}}
    folders = []
    for name in SIZES:
        run = model_run(tmp_path, name, tasks, groups=group)
        if name != "large":
            run.cell("none", "xnli", "de", seed=1, given=answers(FIRST_150))
        else:
            run.cell("none", "xnli", "de", given=answers(FIRST_150), chain=[])
        run.cell("none", "tatoeba", "de", given=answers(FIRST_140))
        folders.append(run.write())
    board = build_board(folders)
    assert ranks(board, "tatoeba") == dict.fromkeys(SIZES, (1, 1, 3))
    assert ranks(board, "xnli") == {"small": (1, 1, 2), "middle": (1, 1, 2), "large": None}
    assert ranks(board, "both") == {"small": (1, 1, 2), "middle": (1, 1, 2), "large": None}
    for name in ("xnli", "both"):
        assert column(board, name)["large"]["why"] == "not trained for it, as others are"


def test_models_without_a_task_in_common_are_told_apart(tmp_path):
    cells = {"small": {("xnli", "de"): FIRST_150}, "large": {("pawsx", "de"): FIRST_150}}
    board = build_board(written(tmp_path, cells, tasks={"xnli": task("de"), "pawsx": task("de")}))
    check_board(board)
    assert ranks(board, "xnli") == {"small": None, "large": None}
    assert "- small has no rank in xnli: no other model to compare with." in section(board)
    assert "|" not in section(board)


def test_the_bytes_do_not_depend_on_the_order_of_folders(tmp_path):
    folders = []
    for place, name in enumerate(SIZES):
        run = model_run(tmp_path, name, {"xnli": task("de", "fr"), "tatoeba": task("de", trained=False)})
        for seed, lang in itertools.product((1, 2), ("de", "fr")):
            run.cell("none", "xnli", lang, seed=seed, total=ROWS, right=100 + 10 * place + seed)
        run.cell("none", "tatoeba", "de", total=ROWS, right=150 - place)
        folders.append(run.write())
    texts = set()
    for number, order in enumerate(itertools.permutations(folders)):
        write_board(build_board(order), tmp_path / f"{number}.json")
        texts.add((tmp_path / f"{number}.json").read_bytes())
    assert len(texts) == 1
    (entry,) = json.loads(texts.pop())["standings"]
    assert [line["model"] for line in entry["lines"]] == list(SIZES)


def test_a_rank_stays_beside_its_score_where_tables_are_split(tmp_path):
    names = [f"a_task_with_a_long_name_{number}" for number in range(9)]
    cells = {name: {(what, "de"): FIRST_150 for what in names} for name in SIZES}
    page = section(build_board(written(tmp_path, cells, tasks={name: task("de") for name in names})))
    titles = [re.split(r" *\| *", line)[1:-1] for line in page.splitlines() if line.startswith("| model")]
    assert len(titles) > 1
    assert max(map(len, page[page.index("|") :].splitlines())) <= WIDTH
    found = [title for line in titles for title in line[1:] if title != "parameters"]
    assert found == [title for name in [*names, "all 9 tasks"] for title in (name, "rank")]
    assert all("rank" in line[-1] for line in titles)


def test_joined_columns_are_never_parted():
    key, wide, beside = Column("k", ["1"]), Column("wide", ["1234"]), Column("lift", ["5"], joined=True)
    table = in_blocks([key], [wide, wide, beside], limit=22)
    assert [line for line in table.splitlines() if "wide" in line] == ["|   k | wide |", "|   k | wide | lift |"]


def test_a_seed_counts_where_it_has_all_cells(tmp_path):
    """Of large, seed 2 was asked for de alone; no seed of middle has both languages."""
    folders = []
    for name, cells in {"small": "1de 1fr", "large": "1de 2de 1fr", "middle": "1de 2fr"}.items():
        run = model_run(tmp_path, name, {"xnli": task("de", "fr")})
        for cell in cells.split():
            run.cell("none", "xnli", cell[1:], seed=int(cell[0]), given=answers(FIRST_150))
        folders.append(run.write())
    board = build_board(folders)
    assert {model: own["num_seeds"] for model, own in column(board, "xnli").items()} == {"small": 1, "large": 1, "middle": 0}
    assert ranks(board, "xnli") == {"small": (1, 1, 2), "middle": None, "large": (1, 1, 2)}
    assert column(board, "xnli")["middle"]["why"] == "no seed has all its cells"


def test_a_group_with_other_test_examples_has_no_ranks(tmp_path):
    tasks = {"xnli": task("de", "fr"), "pawsx": task("de")}
    group = {"both": {"members": ["xnli", "pawsx"], "tasks": ["xnli", "pawsx"]}}
    folders = []
    for name, first in (("small", 0), ("large", 7)):
        run = model_run(tmp_path, name, tasks, groups=group)
        for what, lang in (("xnli", "de"), ("xnli", "fr"), ("pawsx", "de")):
            run.cell("none", what, lang, seed=1, given=answers(FIRST_150, first=first if lang == "fr" else 0))
        folders.append(run.write())
    board = build_board(folders)
    assert ranks(board, "both") == {"small": None, "large": None}
    assert column(board, "both")["small"]["why"] == "test examples differ between models"
    assert ranks(board, "all 2 tasks") == {"small": (1, 1, 2), "large": (1, 1, 2)}
