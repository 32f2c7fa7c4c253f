"""Predictions that the page shows when asked: with texts and gold where these are to be had, escaped; else with the reason."""

import json
import re
import shutil

import pytest
from made_up_boards import made_up_board
from page_reader import HOSTILE, SHOWN, data_of
from written_runs import MODEL

from harness.data.examples import data_fingerprint, load_examples
from harness.data.locations import DataPlace
from harness.planning.catalog.catalog import Catalog
from harness.report.page.examples import prediction_examples
from harness.report.page.page import page
from harness.runtime.arguments import PredictArguments
from harness.runtime.stages import Stage, begin, mark_done


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """A run folder with predictions of the miniature world's NLI in German, for which no text is stored."""
    root = tmp_path_factory.mktemp("runs")
    entry = Catalog().task("mini/nli").spec
    place = DataPlace.resolve(None)
    board = made_up_board(models=["small"], settings=["none"], tasks={"mini/nli": ["de"]})
    spec = {"type": entry.type, **entry.model_dump(mode="json", include={"data", "fields", "labels"}, exclude_defaults=True)}
    args = PredictArguments(
        model=MODEL, task="mini/nli", lang="de", options={}, spec=spec, head="mini/nli",
        data=data_fingerprint(entry, split="test", langs=["de"], place=place),
    )  # fmt: skip
    stage = Stage(label="small", args=args, inputs=())
    begin(stage, root)
    examples = load_examples(entry, split="test", langs=["de"], place=place).examples
    lines = [{"id": one.id, "gold": one.gold, "prediction": HOSTILE, "notes": [], "num_truncated": 0} for one in examples]
    (stage.folder(root) / "predictions.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    mark_done(stage, root, {"examples": len(lines)})
    board["rows"][0]["stages"]["predict"] = stage.name
    return root, board, examples, stage.folder(root)


def test_examples_have_texts_and_gold_and_are_escaped(asked):
    root, board, examples, _ = asked
    found = prediction_examples(board, [root], count=3, place=DataPlace.resolve(None), task_folders=Catalog().task_folders())
    (entry,) = found.entries
    assert len(entry["items"]) == 3
    assert "why" not in entry
    known = {one.id: one for one in examples}
    for item in entry["items"]:
        assert item["texts"] == {"text": known[item["id"]].text, "text_pair": known[item["id"]].text_pair}
        assert (item["gold"], item["right"]) == (known[item["id"]].gold, False)
    text = page(board, [root], examples=found)
    assert data_of(text)["examples"][0]["items"][0]["prediction"] == SHOWN
    assert text.count("</script>") == 2  # the data and the page's own: there is no chart


def test_no_examples_are_shown_unless_asked(asked):
    root, board, *_ = asked
    assert data_of(page(board, [root]))["examples"] == []


def test_examples_whose_data_have_changed_are_shown_without_texts(asked, tmp_path):
    root, board, _, folder = asked
    shutil.copytree(root, tmp_path / "x")
    args = tmp_path / "x" / folder.relative_to(root) / "args.json"
    args.write_text(re.sub(r'"data": "world:\w+"', '"data": "world:0000"', args.read_text()), encoding="utf-8")
    found = prediction_examples(board, [tmp_path / "x"], count=1, place=DataPlace.resolve(None), task_folders={})
    assert found.entries[0]["why"] == "texts are not shown: the data are no longer those that were predicted"
    assert found.entries[0]["items"][0]["texts"] == {}
    (tmp_path / "x" / folder.relative_to(root) / "predictions.jsonl").write_text("{", encoding="utf-8")
    found = prediction_examples(board, [tmp_path / "x"], count=1, place=DataPlace.resolve(None), task_folders={})
    assert "cannot be read" in found.entries[0]["why"]
