"""Where memory runs out in a prediction: an interrupted run makes the batches that an uninterrupted one makes."""

import json
import shutil

import pytest
import torch
from small_runs import Project, differences

from models.decoder import Decoder
from models.encoder import Encoder

pytestmark = pytest.mark.usefixtures("one_thread")
REQUEST = {"tasks": "pairs", "model_args": "dtype=float32", "languages": ("de", "sw")}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return Project.make(tmp_path_factory.mktemp("project"), max_steps=1, tasks="pairs").with_machine(batch_tokens=120)


@pytest.fixture(scope="module")
def trained(project, tmp_path_factory):
    """A folder with the trained model, and nothing predicted yet."""
    root = tmp_path_factory.mktemp("trained") / "runs"
    project.run(root, **REQUEST)
    for verb in ("predict", "score"):
        shutil.rmtree(root / verb)
    return root


def asked(project, root, monkeypatch, *, fails_with=(), stops_after=None):
    """The batches that are computed; one with a sequence of `fails_with` does not fit unless it is alone there."""
    found = []
    begin = Encoder.begin

    def narrow(adapter, batch, **asked):
        ids = tuple(tuple(feature.input_ids) for feature in batch.features)
        if len(found) == stops_after:
            raise RuntimeError("the machine stops")
        if len(ids) > 1 and set(ids) & set(fails_with):
            raise torch.OutOfMemoryError("no more")
        found.append(ids)
        return begin(adapter, batch, **asked)

    with monkeypatch.context() as patch:
        patch.setattr(Encoder, "begin", narrow)
        report = project.run(root, **REQUEST)
    assert bool(report.failed) == (stops_after is not None)
    return found


def test_what_was_learnt_of_the_memory_is_known_to_the_run_that_goes_on(project, trained, tmp_path, monkeypatch):
    for name in ("plain", "whole", "cut"):
        shutil.copytree(trained, tmp_path / name)
    plain = asked(project, tmp_path / "plain", monkeypatch)
    narrow = [plain[2][0]]
    whole = asked(project, tmp_path / "whole", monkeypatch, fails_with=narrow)
    assert whole[:2] == plain[:2]
    assert max(map(len, whole[2:])) < max(map(len, plain[2:])), "smaller from there on"
    first = asked(project, tmp_path / "cut", monkeypatch, fails_with=narrow, stops_after=len(whole) - 3)
    rest = asked(project, tmp_path / "cut", monkeypatch, fails_with=narrow)
    assert first == whole[: len(first)]
    assert 3 <= len(rest) < len(whole) - 2
    assert rest == whole[-len(rest) :], "the pieces of one batch are computed again, and all are as they were"
    assert differences(tmp_path / "whole", tmp_path / "cut") == []


def test_batches_keep_their_size_though_the_device_is_another_now(project, trained, tmp_path, monkeypatch):
    """The size stands with the unfinished cells; a --batch_tokens that is given counts."""
    for name in ("whole", "cut", "other"):
        shutil.copytree(trained, tmp_path / name)
    unsaid = project.with_machine(batch_tokens=None)
    whole = asked(project, tmp_path / "whole", monkeypatch)
    for name in ("cut", "other"):
        asked(project, tmp_path / name, monkeypatch, stops_after=3)
    paths = list(tmp_path.glob("cut/predict/*/bundle.json"))
    assert len(paths) == 2
    assert {json.loads(path.read_text())["tokens"] for path in paths} == {120}
    assert asked(unsaid, tmp_path / "cut", monkeypatch) == whole[3:]
    assert differences(tmp_path / "whole", tmp_path / "cut") == []
    small = asked(project.with_machine(batch_tokens=40), tmp_path / "other", monkeypatch)
    assert max(len(ids) * max(map(len, ids)) for ids in small) <= 40


@pytest.mark.parametrize("content", ["", "[]", "{}", '["x"]', '{"keys": 3, "tokens": "x"}'])
def test_a_torn_record_of_a_bundle_begins_it_again(project, trained, tmp_path, monkeypatch, content):
    shutil.copytree(trained, tmp_path / "r")
    asked(project, tmp_path / "r", monkeypatch, stops_after=1)
    for path in tmp_path.glob("r/predict/*/bundle.json"):
        path.write_text(content)
    assert len(asked(project, tmp_path / "r", monkeypatch)) > 3


def test_requests_in_words_are_made_in_smaller_passes(project, tmp_path, monkeypatch):
    """Their batches are several passes each: it is these that are made smaller, until one fits."""
    tried = []
    begin = Decoder.begin_loglikelihood

    def narrow(adapter, features, max_tokens):
        tried.append(max_tokens)
        if max_tokens > 60:
            raise torch.OutOfMemoryError("no more")
        return begin(adapter, features, max_tokens=max_tokens)

    monkeypatch.setattr(Decoder, "begin_loglikelihood", narrow)
    request = {"tasks": "pairs", "model": str(project.decoder), "route": "prompt", "languages": ("de",)}
    assert not project.run(tmp_path / "r", **request).failed
    assert tried == [120, 60]
    monkeypatch.setattr(Decoder, "begin_loglikelihood", lambda *_, **__: (_ for _ in ()).throw(torch.OutOfMemoryError("never")))
    report = project.run(tmp_path / "never", **request)
    assert "OutOfMemoryError" in report.failed[0][1]
