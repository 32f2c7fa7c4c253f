"""Stage keys, folders, locks: the keys below are literal, so that no change of them goes unseen."""

import multiprocessing

import pytest

from harness.runtime.stages import Stage, begin, canonical, in_order, lock, mark_done, read_json, write_text

INIT = Stage(verb="init", label="tiny", args={"config": {"model_type": "bert"}, "vocab_size": 100, "seed": 0})
TRAIN = Stage(
    verb="train",
    label="tiny+mnli-seed1",
    args={"model": {"adapter": "encoder", "fingerprint": "file:0"}, "tasks": [{"task": "mnli"}], "training": {}, "seed": 1},
    inputs=(INIT,),
)
PREDICT = Stage(verb="predict", label="tiny-xnli-de", args={"task": "xnli", "lang": "de", "data": "file:1"}, inputs=(TRAIN,))
SCORE = Stage(verb="score", label="tiny-xnli-de", args={"metrics": ["accuracy"], "lang": "de", "seed": 0}, inputs=(PREDICT,))

GOLDEN = ["8843fc47af", "fd2dd9e79d", "81258792c0", "0a70184b55"]
"Change them only together with VERSIONS: every finished stage of every user is made again."


def test_golden_keys():
    assert [stage.key for stage in (INIT, TRAIN, PREDICT, SCORE)] == GOLDEN


def test_neither_label_nor_knobs_nor_order_of_keys_are_part_of_a_key():
    args = dict(reversed(PREDICT.args.items()))
    other = Stage(verb="predict", label="else", args=args, inputs=(TRAIN,), knobs={"path": "/x", "save_every": 3})
    assert other.key == PREDICT.key


@pytest.mark.parametrize("change", [{"lang": "fr"}, {"data": "file:2"}, {"limit": 3}])
def test_each_argument_is_part_of_a_key_and_of_those_of_its_readers(change):
    predict = Stage(verb="predict", label="x", args={**PREDICT.args, **change}, inputs=(TRAIN,))
    assert predict.key != PREDICT.key
    assert Stage(verb="score", label="x", args=SCORE.args, inputs=(predict,)).key != SCORE.key


def test_verb_and_inputs_are_part_of_a_key():
    keys = {Stage(verb=verb, label="x", args={}, inputs=inputs).key for verb in ("train", "predict") for inputs in ((), (INIT,))}
    assert len(keys) == 4


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), {1, 2}, b"x"])
def test_what_has_no_stable_text_is_refused(value):
    with pytest.raises((TypeError, ValueError)):
        canonical({"x": value})
    with pytest.raises((TypeError, ValueError)):
        _ = Stage(verb="score", label="x", args={"x": value}).key


def test_in_order_gives_each_stage_once_and_inputs_first():
    again = Stage(verb="score", label="other name", args=SCORE.args, inputs=(PREDICT,))
    assert in_order([SCORE, again, INIT]) == [INIT, TRAIN, PREDICT, SCORE]


def test_done_is_written_last(tmp_path):
    folder = begin(SCORE, tmp_path)
    assert folder.parent.name == "score"
    assert folder.name == f"tiny-xnli-de-{SCORE.key}"
    assert not SCORE.is_done(tmp_path)
    assert read_json(folder / "args.json")["inputs"] == [PREDICT.name]
    mark_done(SCORE, tmp_path, {"examples": 3})
    assert SCORE.is_done(tmp_path)
    assert read_json(folder / "done.json") == {"key": SCORE.key, "examples": 3}
    assert {path.name for path in folder.iterdir()} == {"args.json", "done.json"}


def test_names_are_safe_as_folders():
    assert Stage(verb="predict", label="a/b c:d-mini/pairs-de", args={}).name.startswith("predict/a-b-c-d-mini-pairs-de-")


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
