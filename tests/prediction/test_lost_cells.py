"""A cell whose rows cannot be read or encoded fails by itself: the others get the batches of a bundle that never had it."""

import json
import os
import sys
import threading

import pytest
from listening import listen
from small_processes import work_together
from small_runs import Project, contents

from harness.prediction import loop
from harness.prediction.cell import Cell
from harness.prediction.encoding import Encoding
from harness.prediction.questions import Question
from models.encoder import Encoder

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def batches(monkeypatch):
    """The sequences of each batch that the model makes outputs of."""
    seen = []
    note = lambda batch, **_: seen.append([tuple(feature.input_ids) for feature in batch.features])  # noqa: E731
    listen(monkeypatch, Encoder, "begin", note)
    return seen


def spoil(project, name, *, line=7):
    """Make a label of one row no label; the rows before."""
    path = project.folder / name
    rows = path.read_text().splitlines()
    changed = {**json.loads(rows[line - 1]), "label": "??"}
    path.write_text("\n".join([*rows[: line - 1], json.dumps(changed), *rows[line:]]) + "\n")
    return "\n".join(rows) + "\n"


def predictions(root, lang):
    (found,) = root.glob(f"predict/*-pairs-{lang}-*/predictions.jsonl")
    return found.read_bytes()


def failures(report):
    return {stage.name.rsplit("-", 1)[0]: message for stage, message in report.failed}


def test_the_others_get_the_batches_of_a_bundle_without_it(tmp_path, batches):
    project = Project.make(tmp_path / "p", max_steps=2, tasks="pairs").with_machine(batch_tokens=120)
    whole = spoil(project, "pairs-test-de.jsonl")
    report = project.run(tmp_path / "lost", tasks="pairs")
    with_it = list(batches)
    assert [path.parent.name.split("-")[3] for path in (tmp_path / "lost").glob("predict/*/bundle*")] == ["de"]
    assert list(failures(report)) == ["predict/model+pairs-seed1-pairs-de"]
    assert "pairs-test-de.jsonl, row 7: '??' is no label" in report.failed[0][1]
    assert sum(stage.verb == "score" for stage in report.done) == 2
    (error,) = (tmp_path / "lost").glob("predict/*/error.txt")
    assert "Traceback" in error.read_text()
    assert "row 7" in error.read_text()

    batches.clear()
    project.run(tmp_path / "never", tasks="pairs", languages=("en", "sw"))
    assert with_it == batches
    assert len(batches) > 10
    for lang in ("en", "sw"):
        assert predictions(tmp_path / "lost", lang) == predictions(tmp_path / "never", lang)

    (project.folder / "pairs-test-de.jsonl").write_text(whole)
    before = contents(tmp_path / "lost")
    report = project.run(tmp_path / "lost", tasks="pairs")
    assert not report.failed
    assert len(predictions(tmp_path / "lost", "de").splitlines()) == 30
    assert not [path for path in (tmp_path / "lost").glob("predict/*/bundle*") if (path.parent / "done.json").exists()]
    after = contents(tmp_path / "lost")
    assert {name: after[name] for name in before} == before


def test_an_interrupted_bundle_with_a_lost_cell_goes_on_as_it_was(tmp_path, monkeypatch):
    project = Project.make(tmp_path / "p", max_steps=2, tasks="pairs").with_machine(batch_tokens=120)
    spoil(project, "pairs-test-de.jsonl")
    project.run(tmp_path / "whole", tasks="pairs")
    begin, calls, german_is_encoded = Encoder.begin, [], threading.Event()
    listen(monkeypatch, Encoding, "_encode", lambda cell: german_is_encoded.set() if cell.args.lang == "sw" else None)

    def stop_at_fifth(adapter, batch, **how):
        calls.append([tuple(feature.input_ids) for feature in batch.features])
        if len(calls) == 5 and not resumed:
            assert german_is_encoded.wait(60)
            raise RuntimeError("the machine stops")
        return begin(adapter, batch, **how)

    monkeypatch.setattr(Encoder, "begin", stop_at_fifth)
    resumed = False
    report = project.run(tmp_path / "stopped", tasks="pairs")
    assert {name: message.splitlines()[0].split(":")[0] for name, message in failures(report).items()}.keys() == {
        f"predict/model+pairs-seed1-pairs-{lang}" for lang in ("en", "de", "sw")
    }
    assert failures(report)["predict/model+pairs-seed1-pairs-en"] == "RuntimeError: the machine stops"
    assert "row 7" in failures(report)["predict/model+pairs-seed1-pairs-de"]
    begun = calls[:4]
    calls.clear()
    resumed = True
    report = project.run(tmp_path / "stopped", tasks="pairs")
    assert list(failures(report)) == ["predict/model+pairs-seed1-pairs-de"]
    assert not [batch for batch in calls if batch in begun]
    for lang in ("en", "sw"):
        assert predictions(tmp_path / "whole", lang) == predictions(tmp_path / "stopped", lang)


def test_what_cannot_be_encoded_is_lost_alone(tmp_path):
    """A template that fails on a row of one language, on the prompt route."""
    project = Project.make(tmp_path / "p", max_steps=2, tasks="pairs")
    path = project.folder / "pairs.yaml"
    task = json.loads(path.read_text())
    task["fields"]["text"] = {"template": "{{ a }}{{ 1 // (a | length) }}"}
    path.write_text(json.dumps(task))
    rows = project.folder / "pairs-test-sw.jsonl"
    rows.write_text(rows.read_text() + json.dumps({"a": "", "b": "x", "label": "same"}) + "\n")
    report = project.run(tmp_path / "r", tasks="pairs", model="oracle")
    assert list(failures(report)) == ["predict/oracle-pairs-sw"]
    assert "pairs-test-sw.jsonl, row 31: the template of field 'text' failed" in report.failed[0][1]
    assert sum(stage.verb == "score" for stage in report.done) == 2


def test_a_bundle_of_which_nothing_is_left_fails_each_cell_by_its_own_message(tmp_path):
    project = Project.make(tmp_path / "p", max_steps=2, tasks="pairs")
    for number, lang in enumerate(("en", "de", "sw"), start=1):
        spoil(project, f"pairs-test-{lang}.jsonl", line=number)
    report = project.run(tmp_path / "r", tasks="pairs", model="oracle")
    found = {name[-2:]: message for name, message in failures(report).items()}
    assert {lang: message.split(": ")[0].split(", ")[-1] for lang, message in found.items()} == {
        "en": "row 1",
        "de": "row 2",
        "sw": "row 3",
    }


def run_where_one_fails(project, root, fault, asked):
    """A run whose second process alone has a fault."""
    loop.CPU_FIRST = 1
    if os.environ["RANK"] == "1":
        BREAKS[fault]()
    report = project.run(root, **asked)
    for name, message in sorted(failures(report).items()):
        sys.stdout.write(f"failed {name} {message.splitlines()[-1]}\n")
    return 1 if report.failed else 0


def raises(*_, **__):
    raise OSError("unreachable")


def question_of_german(cell):
    return raises() if cell.args.lang == "de" else Question(None, cell.module.pools(cell.options))


def measures_no_german(cell, measure=Cell.measure):
    return raises() if cell.args.lang == "de" else measure(cell)


BREAKS = {
    "question": lambda: setattr(Cell, "question", property(question_of_german)),
    "rows": lambda: setattr(Cell, "measure", measures_no_german),
    "ceiling": lambda: setattr(loop, "recorded_ceiling", raises),
    "model": lambda: setattr(Encoder, "begin", raises),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "lost"), [("question", ["de"]), ("rows", ["de"]), ("ceiling", ["de", "sw"]), ("model", ["de", "sw"])]
)
def test_what_one_of_two_processes_cannot_do_is_lost_for_both(tmp_path, fault, lost):
    """None waits for the other for ever, and the next run ends as if nothing had been."""
    project = Project.make(tmp_path / "p", max_steps=2, tasks="nearest").with_machine(batch_tokens=120)
    asked = {"tasks": "nearest", "no_train": True, "model_args": "dtype=float32"}
    assert work_together(2, tmp_path / "said", run_where_one_fails, project, tmp_path / "r", fault, asked) == [1, 0]
    words = (tmp_path / "said/rank-0.txt").read_text()  # the other one follows
    found = [line for line in words.splitlines() if line.startswith("failed")]
    assert [line.split()[1].split("-")[-1] for line in found] == lost, words
    assert all(line.endswith("OSError: unreachable") for line in found), words
    assert not project.run(tmp_path / "r", **asked).failed
    for lang in ("de", "sw"):
        (path,) = (tmp_path / "r").glob(f"predict/*-nearest-{lang}-*/predictions.jsonl")
        assert len(path.read_text().splitlines()) == 30
