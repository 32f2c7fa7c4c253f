"""The code of a metric of the user's own is part of the keys of the stages that it decides, and of no other."""

import pytest
from own_files import forget_own, write_own
from small_folders import write_model_folder
from small_tasks import RECIPE, pairs, rows, write

from harness.data.locations import DataPlace
from harness.planning.catalog.catalog import Catalog
from harness.planning.plan import make_plan
from harness.planning.request import RunRequest


@pytest.fixture(autouse=True)
def _clean():
    forget_own()
    yield
    forget_own()


def keys(folder, *tasks):
    catalog = Catalog([folder], trust_metric_code=True)
    request = RunRequest(model=str(folder / "model"), tasks=",".join(tasks), recipe="short")
    plan = make_plan(request, catalog=catalog, place=DataPlace(offline=True))
    return {(stage.verb, stage.args.lang if stage.verb != "train" else ""): stage.key for stage in plan.stages}


def test_what_is_trained_selected_and_scored_by_a_metric_depends_on_its_code(tmp_path):
    write_own(tmp_path)
    selected = {"validation": {"files": {"rows": "mine-en.jsonl"}, "reader": "jsonl"}}
    spec = pairs("mine", metrics=["length_match"])
    write(tmp_path, {**spec, "data": {**spec["data"], **selected}})
    write(tmp_path, pairs("plain"))
    write(tmp_path, pairs("unselected", metrics=["length_match"], selection="none"))
    write(tmp_path, RECIPE)
    for name in ("mine", "plain", "unselected"):
        rows(tmp_path, name, "train", "en", "de")
    write_model_folder(tmp_path / "model")
    before = [keys(tmp_path, name) for name in ("mine", "plain", "unselected")]
    (tmp_path / "metrics/_letters.py").write_text("def letters(text):\n    return 1\n", encoding="utf-8")
    after = [keys(tmp_path, name) for name in ("mine", "plain", "unselected")]
    changed = [{verb for verb, lang in was if was[verb, lang] != now[verb, lang]} for was, now in zip(before, after, strict=True)]
    assert changed == [{"train", "predict", "score"}, set(), {"score"}]
