"""Stage keys, folders, locks: the keys below are literal, so that no change of them goes unseen."""

import multiprocessing
from dataclasses import replace

import pytest
import xxhash

from harness.api.errors import UserError
from harness.runtime.arguments import (
    ComponentArguments,
    InitArguments,
    ModelArguments,
    PredictArguments,
    ScoreArguments,
    SplitRows,
    TrainArguments,
    read_arguments,
)
from harness.runtime.knobs import Knobs
from harness.runtime.locks import lock
from harness.runtime.stages import Stage, TrainingPhase, begin, canonical, in_order, mark_done, read_json, write_text
from harness.specs.recipe import Training

MODEL = ModelArguments(adapter="encoder", fingerprint="file:0")
ROWS = SplitRows(task="mnli", spec={"type": "classification", "data": {"train": []}}, data={"en": "file:2"})
INIT = Stage(label="tiny", args=InitArguments(config={"model_type": "bert"}, vocab_size=100, texts=ROWS, seed=0))
COMPONENT = ComponentArguments(task="mnli", spec=ROWS.spec, data=ROWS.data, options={})
TRAIN = Stage(
    label="tiny+mnli-seed1",
    args=TrainArguments(model=MODEL, tasks=(COMPONENT,), training={}, seed=1),
    inputs=(INIT,),
    phase=TrainingPhase.INTERMEDIATE,
)
PREDICT = Stage(
    label="tiny-xnli-de",
    args=PredictArguments(
        model=MODEL,
        task="xnli",
        lang="de",
        options={},
        spec={"type": "classification", "data": {"test": []}},
        data="file:1",
        head="mnli",
    ),
    inputs=(TRAIN,),
)
SCORE = Stage(
    label="tiny-xnli-de",
    args=ScoreArguments(metrics=("accuracy",), signatures=("accuracy|1",), score=("accuracy.accuracy",), lang="de", seed=0),
    inputs=(PREDICT,),
)

GOLDEN = ["65851d4a91", "702f53fc45", "24475be1e2", "cd5ba7fe16"]
"Change them only together with VERSIONS: every finished stage of every user is made again."


def test_golden_keys():
    assert [stage.key for stage in (INIT, TRAIN, PREDICT, SCORE)] == GOLDEN


def test_what_cannot_change_a_result_is_not_part_of_a_key():
    knobs = Knobs(path="/x", save_every=3)
    assert replace(PREDICT, label="else", knobs=knobs).key == PREDICT.key
    assert replace(TRAIN, phase=TrainingPhase.TARGET).key == TRAIN.key
    turned = ModelArguments(adapter="encoder", fingerprint="file:0", extra={"b": 1, "a": 2})
    other = ModelArguments(adapter="encoder", fingerprint="file:0", extra={"a": 2, "b": 1})
    assert len({replace(PREDICT, args=replace(PREDICT.args, model=model)).key for model in (turned, other)}) == 1


@pytest.mark.parametrize("change", [{"lang": "fr"}, {"data": "file:2"}, {"limit": 3}, {"prompt": {}}, {"head": None}])
def test_each_argument_is_part_of_a_key_and_of_those_of_its_readers(change):
    predict = replace(PREDICT, args=replace(PREDICT.args, **change))
    assert predict.key != PREDICT.key
    assert replace(SCORE, inputs=(predict,)).key != SCORE.key


def test_inputs_are_part_of_a_key():
    assert replace(PREDICT, inputs=()).key != PREDICT.key


def test_a_field_at_its_default_is_not_part_of_a_key():
    assert PREDICT.args.json() == {
        "model": {"adapter": "encoder", "fingerprint": "file:0"},
        "task": "xnli",
        "lang": "de",
        "options": {},
        "spec": {"type": "classification", "data": {"test": []}},
        "data": "file:1",
        "head": "mnli",
    }


def test_what_a_recipe_sets_apart_for_a_task_of_a_mixture_stands_by_itself():
    component = replace(COMPONENT, own={"batch_size": 8, "max_examples": None})
    assert {"batch_size": 8, "max_examples": None}.items() <= component.json().items()
    assert (component.batch_size(Training()), component.max_examples(Training(max_examples=5))) == (8, None)
    assert (COMPONENT.batch_size(Training()), COMPONENT.max_examples(Training(max_examples=5))) == (32, 5)
    args = TrainArguments(model=MODEL, tasks=(component, COMPONENT), training={}, seed=1)
    assert read_arguments("train", args.json()) == args


def test_arguments_of_another_version_are_refused():
    content = SCORE.args.json()
    assert read_arguments("score", content) == SCORE.args
    with pytest.raises(UserError, match="not the arguments of a stage 'score'"):
        read_arguments("score", {key: value for key, value in content.items() if key != "lang"})
    with pytest.raises(UserError, match="not the arguments of a stage 'guess'"):
        read_arguments("guess", content)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), {1, 2}, b"x"])
def test_what_has_no_stable_text_is_refused(value):
    with pytest.raises((TypeError, ValueError)):
        canonical({"x": value})
    with pytest.raises((TypeError, ValueError)):
        _ = replace(PREDICT, args=replace(PREDICT.args, options={"x": value})).key


def test_in_order_gives_each_stage_once_and_inputs_first():
    again = replace(SCORE, label="other name")
    assert in_order([SCORE, again, INIT]) == [INIT, TRAIN, PREDICT, SCORE]


def test_done_is_written_last(tmp_path):
    folder = begin(SCORE, tmp_path)
    assert folder.parent.name == "score"
    assert folder.name == f"tiny-xnli-de-{SCORE.key}"
    assert not SCORE.is_done(tmp_path)
    assert read_json(folder / "args.json")["inputs"] == [PREDICT.name]
    mark_done(SCORE, tmp_path, {"examples": 3})
    assert SCORE.is_done(tmp_path)
    size = (folder / "args.json").stat().st_size
    hashes = {"args.json": {"size": size, "xxh3": xxhash.xxh3_128((folder / "args.json").read_bytes()).hexdigest()}}
    assert read_json(folder / "done.json") == {"key": SCORE.key, "examples": 3, "files": hashes}
    assert {path.name for path in folder.iterdir()} == {"args.json", "done.json"}


def test_names_are_safe_as_folders():
    assert replace(PREDICT, label="a/b c:d-mini/pairs-de").name.startswith("predict/a-b-c-d-mini-pairs-de-")


def test_a_written_file_is_whole_or_old(tmp_path):
    write_text(tmp_path / "x" / "f", "one")
    write_text(tmp_path / "x" / "f", "two")
    assert (tmp_path / "x" / "f").read_text() == "two"
    assert len(list((tmp_path / "x").iterdir())) == 1


def _hold(folder, taken, release):
    with lock(folder):
        taken.set()
        release.wait(60)


def test_a_lock_keeps_other_processes_out_and_dies_with_its_holder(tmp_path):
    context = multiprocessing.get_context("fork")
    taken, release = context.Event(), context.Event()
    holder = context.Process(target=_hold, args=(tmp_path, taken, release))
    holder.start()
    assert taken.wait(60)
    with lock(tmp_path, wait=False) as held:
        assert not held
    holder.kill()
    holder.join()
    with lock(tmp_path, wait=False) as held:
        assert held
