"""Tokens are kept once for all checkpoints with one tokenizer: no second tokenizer call, the same results, in little room."""

import dataclasses
import json
import multiprocessing
import shutil

import pytest
from small_runs import Project, differences

from harness.api.cache import cache_folder
from harness.prediction import token_cache
from harness.prediction.cell import Cell
from harness.prediction.token_cache import kept_place, recall_features, remember_features, tokenizer_hash
from harness.task_types.tokens import sequences

pytestmark = pytest.mark.usefixtures("one_thread")
REQUEST = {"tasks": "nearest", "no_train": True}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return Project.make(tmp_path_factory.mktemp("project"), max_steps=2, tasks="pairs,nearest,tags,quiz")


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """A cache of this test's own that keeps the few tokens of its tasks."""
    monkeypatch.setenv("XLIFT_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(token_cache, "LEAST_TOKENS", 1)


@pytest.fixture
def tokenized(monkeypatch):
    """The texts that go through the tokenizer, probes of one letter left out."""
    texts = []
    ids_of = sequences.ids_of

    def heard(tokenizer, some):
        texts.extend(text for text in some if len(text) > 3)
        return ids_of(tokenizer, some)

    monkeypatch.setattr(sequences, "ids_of", heard)
    return texts


def kept():
    return sorted(path.name for path in (cache_folder() / "tokens").glob("*") if not path.name.startswith("."))


def cells_of(project, root, **request):
    plan, machine = project.plan(**request)
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(project.model)
    stages = [stage for stage in plan.stages if stage.verb == "predict"]
    return [Cell(stage=stage, folder=stage.folder(root), machine=machine, tokenizer=tokenizer) for stage in stages]


def test_a_second_checkpoint_costs_no_tokenizer_call(project, tmp_path, tokenized):
    train = {"tasks": "pairs", "languages": ("de", "sw")}
    project.run(tmp_path / "first", seeds=(1,), **train)
    assert len(kept()) == 2
    tokenized.clear()
    project.run(tmp_path / "second", seeds=(1,), **train)
    training = list(tokenized)  # of its rows, which are not kept
    tokenized.clear()
    shutil.rmtree(cache_folder() / "tokens")
    project.run(tmp_path / "third", seeds=(1,), **train)
    assert len(tokenized) > len(training)
    tokenized.clear()
    project.run(tmp_path / "first", seeds=(2,), **train)
    assert tokenized == training
    assert differences(tmp_path / "second", tmp_path / "third") == []


def test_results_are_the_same_with_and_without(project, tmp_path, monkeypatch, tokenized):
    request = {"tasks": "pairs,tags,quiz,nearest"}
    project.run(tmp_path / "cold", **request)
    num_cold = len(tokenized)
    project.run(tmp_path / "warm", **request)
    assert len(tokenized) < 2 * num_cold
    monkeypatch.setenv("XLIFT_TOKEN_CACHE_MB", "0")
    project.run(tmp_path / "off", **request)
    assert differences(tmp_path / "cold", tmp_path / "warm") == []
    assert differences(tmp_path / "cold", tmp_path / "off") == []


def test_what_decides_the_tokens_decides_the_place(project, tmp_path):
    (cell, *others) = cells_of(project, tmp_path, tasks="nearest", no_train=True)
    args, tokenizer = cell.args, cell.tokenizer
    place = kept_place(args, tokenizer)
    others = [
        dataclasses.replace(args, data="file:0000000000000000"),
        dataclasses.replace(args, lang="xx"),
        dataclasses.replace(args, limit=3),
        dataclasses.replace(args, options={**args.options, "max_length": 7}),
        dataclasses.replace(args, spec={**args.spec, "fields": {}}),
    ]
    assert len({place, *(kept_place(other, tokenizer) for other in others)}) == 6
    same = dataclasses.replace(args, head="another", model=dataclasses.replace(args.model, dtype="float32"))
    assert kept_place(same, tokenizer) == place
    assert kept_place(dataclasses.replace(args, prompt={}), tokenizer) is None
    (again, *_) = cells_of(project, tmp_path, tasks="nearest", no_train=True)
    assert tokenizer_hash(again.tokenizer) == tokenizer_hash(tokenizer)
    tokenizer.add_tokens(["moose"])
    assert kept_place(args, tokenizer) != place


def test_what_is_recalled_lies_in_files_and_is_equal(project, tmp_path):
    for cell in cells_of(project, tmp_path, tasks="pairs,tags,quiz,nearest", no_train=True):
        made = cell.features
        found = recall_features(kept_place(cell.args, cell.tokenizer))
        assert [repr(one) for one in found] == [repr(one) for one in made]
        assert found.lengths() == made.lengths()
        assert not found.ids.flags.owndata
        assert not found.ids.flags.writeable


@pytest.mark.parametrize("damage", ["cut", "edited", "gone", "foreign", "unsealed"])
def test_what_is_broken_is_made_again(project, tmp_path, damage):
    (cell, *_) = cells_of(project, tmp_path, tasks="nearest", no_train=True)
    expected = list(cell.features)
    place = kept_place(cell.args, cell.tokenizer)
    ids = place / "ids.npy"
    content = ids.read_bytes()
    if damage == "cut":
        ids.write_bytes(content[:-3])
    elif damage == "edited":
        ids.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    elif damage == "gone":
        ids.unlink()
    elif damage == "foreign":
        (place / "rest.json").write_text(json.dumps({"common": [[1]]}))
        token_cache.seal_folder(place)
    else:
        (place / "sealed").unlink()
    assert recall_features(place) is None
    cell.release()
    assert list(cell.features) == expected
    assert list(recall_features(place)) == expected


def test_what_was_used_longest_ago_goes_first(project, tmp_path, monkeypatch):
    cells = cells_of(project, tmp_path, tasks="pairs,nearest", no_train=True)
    places = [kept_place(cell.args, cell.tokenizer) for cell in cells]
    for cell in cells[:-1]:
        assert len(cell.features)
    recall_features(places[0])
    size = sum(file.stat().st_size for file in places[0].iterdir())
    monkeypatch.setattr(token_cache, "most_bytes", lambda: int(2.5 * size))
    assert len(cells[-1].features)
    left = kept()
    assert len(left) == 2
    assert {places[0].name, places[-1].name} == set(left), "the one just used and the one just made"


def test_few_tokens_are_not_kept(project, tmp_path, monkeypatch):
    monkeypatch.setattr(token_cache, "LEAST_TOKENS", 10**6)
    (cell, *_) = cells_of(project, tmp_path, tasks="nearest", no_train=True)
    assert len(cell.features)
    assert kept() == []


def test_rows_that_have_changed_since_the_plan_are_not_kept(project, tmp_path):
    copy = dataclasses.replace(project, folder=tmp_path / "copy")
    shutil.copytree(project.folder, copy.folder)
    (cell, *_) = cells_of(copy, tmp_path, tasks="nearest", no_train=True)
    for path in copy.folder.glob("nearest-test-*.jsonl"):
        path.write_text(path.read_text().replace("the", "a"))
    assert len(cell.features)
    assert kept() == []


def test_a_cache_that_cannot_be_written_costs_nothing(project, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XLIFT_CACHE_DIR", str(tmp_path / "file"))
    assert not project.run(tmp_path / "runs", **REQUEST).failed


def _remember(project, root, times):
    token_cache.LEAST_TOKENS = 1
    for cell in cells_of(project, root, tasks="nearest", no_train=True) * times:
        cell.release()
        features = cell.features
        place = kept_place(cell.args, cell.tokenizer)
        shutil.rmtree(place, ignore_errors=True)
        remember_features(place, features)


def test_processes_that_write_and_are_killed_at_once_leave_whole_folders(project, tmp_path):
    (cell, *_) = cells_of(project, tmp_path, tasks="nearest", no_train=True)
    expected = list(cell.features)
    place = kept_place(cell.args, cell.tokenizer)
    context = multiprocessing.get_context("forkserver")
    children = [context.Process(target=_remember, args=(project, tmp_path, 200)) for _ in range(2)]
    for child in children:
        child.start()
    seen = 0
    for _ in range(400):
        found = recall_features(place)
        seen += found is not None
        assert found is None or list(found) == expected
    for child in children:
        child.kill()
        child.join()
    cell.release()
    assert list(cell.features) == expected
    assert list(recall_features(place)) == expected
    assert seen
