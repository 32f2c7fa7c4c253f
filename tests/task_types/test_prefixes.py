"""Choices of which one begins another: by sums of log-probabilities the longer one cannot win, and the reader is told."""

import json
import shutil

import numpy as np
import pytest
from printed_pages import unbroken
from small_lm_eval_parts import CODE
from small_runs import Project
from small_tokenizers import byte_bpe, word_level

from harness.api.protocols import Feature
from harness.planning.catalog.catalog import Catalog
from harness.report.board.board import build_board, check_board
from harness.report.board.markdown import markdown
from harness.report.record.writer import write_request
from harness.specs.lm_eval import LmEvalMetric, LmEvalTask
from harness.specs.prompt import PromptArgs
from harness.task_types.lm_eval_harness.route import LmEvalRoute
from harness.task_types.prompting.answer_parsing import choose
from harness.task_types.prompting.prefixes import MOST, Beginning, beginnings

pytestmark = pytest.mark.usefixtures("one_thread")


def asked(*continuations, example=0):
    return Feature(example=example, input_ids=[0], continuations=[list(ids) for ids in continuations])


def pairs(*features, labels=("a", "b", "c")):
    return [
        (found.shorter[0], found.longer[0], found.examples) for found in beginnings(features, labels=labels, tokenizer=TOKENS)
    ]


TOKENS = word_level(["the", "cat", "sat"])


def test_what_begins_another_is_found_by_its_tokens():
    assert pairs(asked([5], [6], [7])) == []
    assert pairs(asked([5, 6], [6], [5])) == [("c", "a", 1)]
    assert pairs(asked([5], [5, 6], [5, 6, 7])) == [("a", "b", 1), ("a", "c", 1), ("b", "c", 1)]
    assert pairs(asked([5, 6], [5, 7], [])) == []  # one without tokens is never chosen by itself
    assert pairs(asked([5], [5], [6])) == [("a", "b", 1)]  # of equals the first is chosen
    assert pairs(Feature(example=0, input_ids=[0], generate={"max_new_tokens": 1, "stop": []})) == []


def test_pairs_are_counted_once_an_example_and_the_most_frequent_are_named():
    features = [asked([5], [5, 6], [7]), asked([5], [5, 6], [7], example=0), asked([7], [6], [7, 5], example=1)]
    features += [asked([7], [5], [7, 6], example=2)]
    assert pairs(*features) == [("a", "c", 2), ("a", "b", 1)]
    many = [asked([5], *([[5, 6]] * 9))]
    assert len(beginnings(many, labels=(), tokenizer=TOKENS)) == MOST


def test_choices_are_named_by_their_labels_and_by_texts_that_differ():
    found = beginnings([asked([5], [5, 6])], labels=("the", "more"), tokenizer=TOKENS)
    assert found == [Beginning("the", "more ('the cat')", 1)]
    assert beginnings([asked([5], [5, 6])], labels=(), tokenizer=TOKENS) == [Beginning("'the'", "'the cat'", 1)]


def test_text_that_begins_another_need_not_be_its_first_tokens():
    """What decides is how the tokenizer cuts the two."""
    tokenizer = byte_bpe(prefix_space=False)
    ids = tokenizer([" th", " the"], add_special_tokens=False)["input_ids"]
    assert ids[1][: len(ids[0])] != ids[0]
    assert beginnings([asked(*ids)], labels=(), tokenizer=tokenizer) == []


def test_the_longer_one_never_wins_by_sums_whatever_the_model_says():
    rng = np.random.default_rng(1)
    wins = {"sum": 0, "per_token": 0}
    for _ in range(200):
        first, rest = np.log(rng.random(2))
        for normalise in wins:
            scored = [[first, 1, 0.0], [first + rest, 2, 0.0]]
            wins[normalise] += choose(scored, [[1, 1], [2, 2]], labels=["x", "y"], normalise=normalise).prediction == "y"
    assert wins["sum"] == 0
    assert 50 < wins["per_token"] < 150


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """`pairs` says "sees" for same, and "sees the" for none."""
    project = Project.make(tmp_path_factory.mktemp("project"), max_steps=1)
    task = json.loads((project.folder / "pairs.yaml").read_text(encoding="utf-8"))
    task["prompt"]["continuations"] = {"same": "sees", "other": "near", "none": "sees the"}
    (project.folder / "pairs.yaml").write_text(json.dumps(task), encoding="utf-8")
    return project


def page(project, root, **request):
    """The board of a run in words, and what its predictions say of themselves."""
    how = {"tasks": "pairs", "model": str(project.decoder), "route": "prompt", "languages": ("en", "de"), "limit": 6, **request}
    report = project.run(root, **how)
    assert not report.failed, report.failed
    plan, _ = project.plan(**how)
    write_request(plan, catalog=Catalog([project.folder]), root=root)
    board = build_board([root])
    check_board(board)
    told = [json.loads(path.read_text(encoding="utf-8")).get("never_chosen") for path in root.glob("predict/*/done.json")]
    assert len(told) == 2
    return unbroken(markdown(board)), told


def test_a_run_says_which_choice_cannot_win(project, tmp_path, capsys):
    shown, told = page(project, tmp_path / "sum")
    assert told == [[{"shorter": "same ('sees')", "longer": "none ('sees the')", "examples": 6}]] * 2
    assert "- pairs: none ('sees the') can never be chosen in 12 examples (en, de), for same ('sees') is how it begins" in shown
    said = capsys.readouterr().err
    assert said.count("warning: task 'pairs': none ('sees the') can never be chosen, for same ('sees') is how it begins") == 1
    assert "normalise=per_token" in said


def test_nothing_is_said_where_sums_are_divided_or_made_up(project, tmp_path, capsys):
    for name, request in (("tokens", {"prompt_args": "normalise=per_token"}), ("fake", {"model": "random"})):
        shown, told = page(project, tmp_path / name, **request)
        assert told == [None, None]
        assert "never be chosen" not in shown
        shutil.rmtree(tmp_path / name)
    assert "warning" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("output_type", "metrics", "wanted"),
    [
        ("multiple_choice", ("acc", "acc_norm"), True),
        ("multiple_choice", ("f1",), True),
        ("multiple_choice", ("acc_norm", "acc_bytes"), False),
        ("loglikelihood", ("acc",), False),  # one continuation, right if it is the likeliest
        ("generate_until", ("exact_match",), False),
    ],
)
def test_tasks_of_lm_eval_compare_sums_by_some_of_their_metrics(output_type, metrics, wanted):
    config = LmEvalTask(output_type=output_type, metrics=tuple(LmEvalMetric(metric=name) for name in metrics))
    route = LmEvalRoute(config=config, code=CODE, prompt_args=PromptArgs())
    assert route.compares_sums(None) is wanted
