"""Several draws of solved examples beside several training seeds: a line of scores each, and their spread on the board."""

import json

import pytest
from small_runs import Project

import run_eval


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return Project.make(tmp_path_factory.mktemp("project"))


@pytest.fixture
def asked(project, tmp_path):
    """Run prompts with solved examples; the board's rows, and the run folder."""

    def run(*words, model=project.decoder, expected=0):
        flags = [
            "--model",
            str(model),
            "--tasks",
            "pairs",
            "--languages",
            "de,en",
            "--route",
            "prompt",
            "--limit",
            "8",
            "--quiet",
        ]
        flags += ["--include_path", str(project.folder), "--recipe", "tiny", "--output_path", str(tmp_path / "runs")]
        assert run_eval.main([*flags, *words]) == expected
        return json.loads((tmp_path / "runs" / "leaderboard.json").read_text()), tmp_path / "runs"

    return run


def seeds_asked(root):
    """The seed of the draw of each prediction, by language."""
    found = {}
    for path in root.glob("predict/*/args.json"):
        args = json.loads(path.read_text())["args"]
        found.setdefault(args["lang"], []).append(args["prompt"].get("seed", 0))
    return {lang: sorted(seeds) for lang, seeds in found.items()}


def test_each_seed_draws_anew_and_the_board_has_their_spread(asked, capsys):
    board, root = asked("--prompt_args", "num_fewshot=2", "--seeds", "1,2,3")
    assert seeds_asked(root) == {"de": [0, 1, 2], "en": [0, 1, 2]}
    assert [row["seed"] for row in board["rows"] if row["lang"] == "de"] == [1, 2, 3]
    (entry,) = board["task_scores"]
    assert entry["over_seeds"]["n"] == 3
    scores = [row["score"]["value"] for row in board["rows"]]
    assert len(scores) == 6
    assert entry["over_seeds"]["sd"] is not None
    capsys.readouterr()
    asked("--prompt_args", "num_fewshot=2", "--seeds", "1")
    assert "4 stages: 4 done, 0 to do" in capsys.readouterr().err
    assert seeds_asked(root) == {"de": [0, 1, 2], "en": [0, 1, 2]}


def test_where_nothing_is_drawn_there_is_one_cell(asked):
    board, root = asked("--seeds", "1,2,3")
    assert [row["seed"] for row in board["rows"]] == [None, None]
    assert seeds_asked(root) == {"de": [0], "en": [0]}


def test_the_seed_of_prompt_args_is_that_of_the_first(asked):
    _, root = asked("--prompt_args", "num_fewshot=2,seed=40", "--seeds", "1,3")
    assert seeds_asked(root)["de"] == [40, 42]


def test_stratified_examples_are_named_on_the_board_and_refused_without_labels(asked, capsys):
    board, _ = asked("--prompt_args", "num_fewshot=3,fewshot_sampler=stratified")
    assert {row["route"] for row in board["rows"]} == {"prompt 3-shot, stratified"}
    capsys.readouterr()
    asked("--tasks", "tags", "--prompt_args", "num_fewshot=3,fewshot_sampler=stratified", expected=2)
    said = capsys.readouterr().err
    assert "the answers of task 'tags' are no labels" in said
    assert "fewshot_sampler=per_question" in said
