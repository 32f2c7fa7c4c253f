"""The prediction loop: each cell once, the same answers however it is cut, and the fakes in the model's place."""

import io
import json
import re
import shutil
import sys

import numpy as np
import pytest
import torch
import tqdm
from listening import listen
from small_runs import Project, contents, differences

from harness.api.errors import UserError
from harness.executors.local import execute
from harness.prediction.fakes import load_fake
from models.decoder import Decoder
from models.encoder import Encoder
from models.inference.prefix_tree import build_tree

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return Project.make(tmp_path_factory.mktemp("project"), max_steps=3)


@pytest.fixture
def asked(monkeypatch):
    """The lengths of the sequences of each batch that the model makes vectors or outputs of."""
    seen = []
    listen(monkeypatch, Encoder, "begin", lambda batch, **_: seen.append([len(feature.input_ids) for feature in batch.features]))
    return seen


def lines(root, name="predictions.jsonl"):
    return {path.parent.name: path.read_text() for path in sorted(root.glob(f"predict/*/{name}"))}


def test_cells_of_a_checkpoint_share_batches_sorted_by_length(project, tmp_path, asked):
    project.with_machine(batch_tokens=100).run(tmp_path, tasks="nearest")
    widths = [max(batch) for batch in asked]
    assert widths == sorted(widths, reverse=True)
    assert all(len(batch) * max(batch) <= 100 for batch in asked)
    assert sum(map(len, asked)) == 2 * 2 * 30


def test_a_language_added_later_leaves_the_others_alone(project, tmp_path, asked):
    project.run(tmp_path, tasks="pairs", languages=("en",))
    before = contents(tmp_path)
    asked.clear()
    project.run(tmp_path, tasks="pairs", languages=("en", "de"))
    assert sum(map(len, asked)) == 30
    assert {name: content for name, content in contents(tmp_path).items() if name in before} == before


@pytest.mark.parametrize("num_fewshot", [0, 1])
def test_what_begins_alike_is_asked_together(project, tmp_path, monkeypatch, num_fewshot):
    """Rows of parallel data have the same solved examples in every language: then the languages of a row are neighbours."""
    asked = []

    def hear(features, max_tokens):
        asked.extend(tuple(feature.input_ids) for feature in features)

    def run(*languages):
        asked.clear()
        words = {"model": str(project.decoder), "route": "prompt", "prompt_args": f"num_fewshot={num_fewshot}"}
        project.run(tmp_path / "-".join(languages), tasks="pairs", languages=languages, limit=8, **words)
        return list(asked)

    listen(monkeypatch, Decoder, "begin_loglikelihood", hear)
    apart, together = [run("en"), run("de"), run("sw")], run("en", "de", "sw")
    assert [len(prompts) for prompts in apart] == [8, 8, 8]
    assert together == [prompt for row in (zip(*apart) if num_fewshot else apart) for prompt in row]
    if num_fewshot:
        assert build_tree(together).num_tokens < 0.8 * sum(build_tree(row).num_tokens for row in apart)


def outputs(project, root, monkeypatch, *, limit=None, starved=None, **knobs):
    """All outputs of the model by the tokens of a sequence; batches of more than `limit` tokens do not fit into its memory."""
    found = {}
    begin = Encoder.begin

    def little_memory(adapter, batch, **asked):
        if limit and batch.input_ids.numel() > limit:
            if starved is not None:
                starved.append(batch.input_ids.numel())
            raise torch.OutOfMemoryError("no more")
        pending = begin(adapter, batch, **asked)
        found.update({tuple(feature.input_ids): output for feature, output in zip(batch.features, pending.take(), strict=True)})
        return pending

    with monkeypatch.context() as patch:
        patch.setattr(Encoder, "begin", little_memory)
        report = project.with_machine(**knobs).run(root, tasks="pairs", model_args="dtype=float32")
    assert not report.failed, report.failed
    return found


def trained(project, root):
    """A folder with the trained model of `pairs`, and nothing predicted yet."""
    project.run(root, tasks="pairs", model_args="dtype=float32")
    for verb in ("predict", "score"):
        shutil.rmtree(root / verb)
    return root


def test_outputs_agree_whatever_the_batch_and_the_memory(project, tmp_path, monkeypatch):
    trained(project, tmp_path / "a")
    for root in ("b", "c"):  # trained once: the knob of the batch rounds training too
        shutil.copytree(tmp_path / "a", tmp_path / root)
    whole = outputs(project, tmp_path / "a", monkeypatch)
    small = outputs(project, tmp_path / "b", monkeypatch, batch_tokens=40)
    starved = []
    poor = outputs(project, tmp_path / "c", monkeypatch, limit=200, starved=starved)
    assert len(whole) > 50
    assert whole.keys() == small.keys() == poor.keys()
    for other in (small, poor):
        assert max(np.abs(whole[key] - other[key]).max() for key in other) < 1e-5
    assert lines(tmp_path / "a") == lines(tmp_path / "c")
    assert len(lines(tmp_path / "a")) == 3
    assert 1 <= len(starved) <= 5, "halving is remembered: it is not found out again with each batch"


@pytest.mark.parametrize("lookahead", [True, False])
def test_what_is_on_disk_in_whatever_order_is_not_computed_again(project, tmp_path, asked, lookahead):
    """Several processes have left the end of a cell without its beginning: it is complete before batches that hold its end."""
    project = project.with_machine(batch_tokens=100, lookahead=lookahead)
    project.run(tmp_path / "whole", tasks="nearest", no_train=True)
    total = len(asked)
    begin = Encoder.begin

    def stop_at_last(adapter, batch, **how):
        if len(asked) == 2 * total - 1:
            raise RuntimeError("the machine stops")
        return begin(adapter, batch, **how)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Encoder, "begin", stop_at_last)
        assert project.run(tmp_path / "cut", tasks="nearest", no_train=True).failed
    lost = 0
    for journal in tmp_path.glob("cut/predict/*/vectors-0.done"):
        rows = journal.read_text().splitlines(keepends=True)
        journal.write_text("".join(rows[2:]))
        lost += len(rows[:2])
    asked.clear()
    assert not project.run(tmp_path / "cut", tasks="nearest", no_train=True).failed
    assert len(asked) <= lost + 1
    assert differences(tmp_path / "whole", tmp_path / "cut") == []


def test_one_sequence_that_does_not_fit_fails_the_cells(project, tmp_path, monkeypatch):
    trained(project, tmp_path)
    with pytest.raises(AssertionError, match="OutOfMemoryError"):
        outputs(project, tmp_path, monkeypatch, limit=2)
    assert len(list(tmp_path.glob("predict/*/error.txt"))) == 3


def test_lengths_save_encoding_finished_cells_again(tmp_path, monkeypatch):
    """Finished cells of an interrupted run still decide which sequences share a batch, though their rows cannot be read now."""
    project = Project.make(tmp_path / "project", tasks="pairs", max_steps=1).with_machine(batch_tokens=1)
    begin, calls, last = Encoder.begin, [], 0

    def stop_at_last(adapter, batch, **how):
        calls.append(batch)
        if len(calls) == last:
            raise RuntimeError("the machine stops")
        return begin(adapter, batch, **how)

    monkeypatch.setattr(Encoder, "begin", stop_at_last)
    project.run(tmp_path / "whole", tasks="pairs", languages=("en", "de"))
    last = len(calls)
    calls.clear()
    plan, machine = project.plan(tasks="pairs", languages=("en", "de"))
    assert execute(plan.stages, root=tmp_path / "stopped", machine=machine).failed
    (finished,) = lines(tmp_path / "stopped")
    (rows,) = (tmp_path / "project").glob(f"pairs-test-{'en' if '-en-' in finished else 'de'}.jsonl")
    rows.write_text("?")
    calls.clear()
    assert not execute(plan.stages, root=tmp_path / "stopped", machine=machine).failed
    assert len(calls) == 1
    assert differences(tmp_path / "whole", tmp_path / "stopped") == []


@pytest.mark.parametrize("tokenizer", [None, "model"])
def test_the_oracle_scores_100_everywhere(project, tmp_path, tokenizer):
    args = f"tokenizer={project.model}" if tokenizer else ""
    report = project.run(tmp_path, tasks="pairs,tags,quiz,nearest", model="oracle", model_args=args)
    assert not report.failed
    scores = {path.parent.name: json.loads(path.read_text())["score"]["value"] for path in tmp_path.glob("score/*/score.json")}
    assert len(scores) == 9
    assert set(scores.values()) == {100.0}


@pytest.mark.parametrize("kind", ["random", "constant"])
def test_the_other_fakes_know_nothing(project, tmp_path, kind):
    report = project.run(tmp_path, tasks="pairs,tags,quiz,nearest", model=kind)
    assert not report.failed
    scores = {path.parent.name: json.loads(path.read_text())["score"]["value"] for path in tmp_path.glob("score/*/score.json")}
    pairs = [score for name, score in scores.items() if "pairs" in name]
    assert 15 < np.mean(pairs) < 52
    assert max(scores.values()) < 60
    if kind == "constant":
        assert [json.loads(path.read_text())["single_class"] for path in tmp_path.glob("score/*pairs*/score.json")] == [True] * 3


def test_unknown_fakes_and_tokenizers_are_named():
    with pytest.raises(UserError, match="unknown fake 'oracel'") as caught:
        load_fake("oracel", tokenizer=None)
    assert "oracle" in str(caught.value)
    with pytest.raises(UserError, match="no tokenizer '/no/where'"):
        load_fake("oracle", tokenizer="/no/where")


class Screen(io.StringIO):
    """A terminal."""

    def isatty(self):
        return True


@pytest.mark.parametrize("progress", [True, False])
def test_bars_are_on_a_terminal_and_only_if_wanted(project, tmp_path, capsys, monkeypatch, progress):
    """Each phase has one of its own: choosing a checkpoint may take longer than the steps before it."""
    start, screen = tqdm.tqdm.__init__, Screen()

    def start_at_once(*args, **kwargs):
        start(*args, **{**kwargs, "delay": 0, "mininterval": 0})

    monkeypatch.setattr(tqdm.tqdm, "__init__", start_at_once)
    monkeypatch.setattr(sys, "stderr", screen)
    project.with_machine(progress=progress).run(tmp_path, tasks="pairs", languages=("de",))
    shown = screen.getvalue()
    assert capsys.readouterr().out == ""
    for title in ("train model+pairs-seed1:", "validate pairs at step 3:", "predict:"):
        assert (title in shown) == progress
    assert ("done: " in shown, shown == "") == (False, not progress)


@pytest.mark.parametrize("progress", [True, False])
def test_a_log_has_a_line_for_each_stage_that_is_done(project, tmp_path, capsys, progress):
    project.with_machine(progress=progress).run(tmp_path, tasks="pairs", languages=("de",))
    out, err = capsys.readouterr()
    assert out == ""
    titles = ["train model+pairs-seed1", "done", "predict", "done", "done"]
    assert [line.split(":")[0] for line in err.splitlines()] == (titles if progress else [])
    if progress:
        assert "3 steps in " in err
        assert re.search(r"done: predict/model\+pairs-seed1-pairs-de-\w{10}: 30 rows, \d+ tokens\n", err)
        assert re.search(r"done: score/model\+pairs-seed1-pairs-de-\w{10}: \d+\.\d in ", err)
