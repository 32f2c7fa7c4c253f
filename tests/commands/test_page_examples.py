"""Answers that the page shows when asked: those of `errors`, with texts, prompts and gold where these are to be had, escaped."""

import json
import shutil

import pytest
from page_reader import HOSTILE, SHOWN, data_of

import run_eval
from harness.data.locations import DataPlace
from harness.planning.catalog.catalog import Catalog
from harness.report.answers.asked_rows import RowPlace
from harness.report.board.board import build_board
from harness.report.page.examples import prediction_examples
from harness.report.page.page import page
from harness.report.record.gather import gather

WORDS = ["--tasks", "mini/xnli,mini/translation_to_en", "--languages", "de,sw", "--limit", "20", "--quiet"]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A run of made-up answers: labels, and translations that are asked for in words."""
    root = tmp_path_factory.mktemp("runs")
    assert run_eval.main(["--model", "random", *WORDS, "--output_path", str(root)]) == 0
    return root


def shown(root, *, count=3, folders=None):
    rows = RowPlace(place=DataPlace.resolve(None), task_folders=Catalog().task_folders())
    return prediction_examples(build_board([root]), gather([root]), [root], count=count, rows=rows)


def entry_of(found, name):
    return next(found.entries[number] for stage, number in found.numbers.items() if name in stage)


def test_each_prediction_shows_the_same_few_examples_with_texts_and_gold(root):
    found = shown(root)
    assert len(found.entries) == 4
    assert all(len(entry["items"]) == 3 and "why" not in entry for entry in found.entries)
    german, swahili = (entry_of(found, f"mini-xnli-{lang}") for lang in ("de", "sw"))
    assert [item["id"] for item in german["items"]] == [item["id"] for item in swahili["items"]]  # parallel languages
    for item in german["items"]:
        assert set(item["texts"]) == {"text", "text_pair"}
        assert item["right"] == (item["gold"] == item["prediction"])
        assert item["prompts"] == []


def test_what_was_asked_in_words_has_its_prompt(root):
    (item, *_) = entry_of(shown(root), "translation_to_en-sw")["items"]
    (prompt,) = item["prompts"]
    assert item["texts"]["source"] in prompt
    assert "Swahili" in prompt


def test_answers_are_escaped_on_the_page(root):
    found = shown(root, count=1)
    for item in (item for entry in found.entries for item in entry["items"]):
        item.update(prediction=HOSTILE, prompts=[HOSTILE])
    text = page(build_board([root]), [root], examples=found)
    (item,) = data_of(text)["examples"][0]["items"]
    assert (item["prediction"], item["prompts"]) == (SHOWN, [SHOWN])
    plain = page(build_board([root]), [root])
    assert text.count("</script>") == plain.count("</script>")
    assert data_of(plain)["examples"] == []  # none unless asked


def test_examples_whose_rows_have_changed_are_shown_without_texts(root, tmp_path):
    copy = tmp_path / "x"
    shutil.copytree(root, copy)
    (folder,) = copy.glob("predict/*mini-xnli-de*")
    args = json.loads((folder / "args.json").read_text())
    args["args"]["data"] = "world:0000"
    (folder / "args.json").write_text(json.dumps(args))
    done = json.loads((folder / "done.json").read_text())
    done["files"].pop("args.json")
    (folder / "done.json").write_text(json.dumps(done))
    found = entry_of(shown(copy), "mini-xnli-de")
    assert "the rows have changed since they were predicted" in found["why"]
    assert [item["texts"] for item in found["items"]] == [{}] * 3
    (folder / "predictions.jsonl").write_text("{", encoding="utf-8")
    broken = entry_of(shown(copy), "mini-xnli-de")
    assert broken["items"] == []
    assert broken["why"].startswith("the predictions cannot be read: ")
