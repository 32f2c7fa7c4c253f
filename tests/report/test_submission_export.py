"""XTREME's submission files written from finished runs, and what scores they have."""

import json
import random
from pathlib import Path

import pytest

import run_eval
from harness.api.errors import UserError
from harness.api.registry import TASK_TYPES
from harness.data.examples import load_examples
from harness.data.locations import DataPlace
from harness.report.submission.export import DataFolders, export
from harness.report.submission.score import score_submission
from harness.report.submission.selection import Wanted
from harness.report.submission.xtreme_format import TASKS
from harness.runtime.arguments import ModelArguments, PredictArguments, ScoreArguments
from harness.runtime.stages import Stage, begin, mark_done, write_json, write_text
from harness.scoring.score import score_cell, write_score
from harness.specs.portable import portable
from harness.specs.task import TaskSpec

ROWS = {
    "xnli": [{"p": f"p{n}", "h": "h", "label": ("entailment", "neutral", "contradiction")[n % 3]} for n in range(7)],
    "panx": [{"t": ["a", "b", "c"], "tags": ["B-LOC", "I-LOC", "O"]}, {"t": [], "tags": []}, {"t": ["d"], "tags": ["B-PER"]}],
    "tatoeba": [{"s": f"{n}", "t": text} for n, text in enumerate(["b", "a ", "Z", "é", "a b"])],
    "mlqa": [
        {"id": "x1", "q": "who?", "c": "the old house by the sea", "a": ["old house", "house"], "at": [4, 8]},
        {"id": "x2", "q": "where?", "c": "the old house by the sea", "a": ["the sea"], "at": [17]},
        {"id": "x3", "q": "what?", "c": " elsewhere", "a": ["elsewhere"], "at": [1]},
    ],
    "bucc2018": [{"s": ["eins", "zwei", "drei"], "t": ["three", "five", "one"], "g": [[1, 3], [3, 1]]}],
}
SPECS = {
    "xnli": ("classification", {"text": "p", "text_pair": "h", "label": "label"}, ["accuracy"]),
    "panx": ("tagging", {"tokens": "t", "tags": "tags"}, ["chunk_f1"]),
    "tatoeba": ("retrieval", {"source": "s", "target": "t"}, ["accuracy"]),
    "mlqa": ("span_qa", {"question": "q", "context": "c", "answer_texts": "a", "answer_starts": "at", "id": "id"}, ["mlqa"]),
    "bucc2018": ("bitext_mining", {"sources": "s", "targets": "t", "gold": "g"}, ["mined_pairs"]),
}
PAIRS = ["de-000000001\ten-000000003", "de-000000003\ten-000000001", "de-000000002\ten-000000002"]


class FinishedRun:
    """Predict and score stages of real rows, as a run leaves them; predictions are gold but for a drawn share."""

    def __init__(self, root: Path) -> None:
        self.root, self.data = root / "run", root / "data"
        self.data.mkdir(parents=True)
        self.folders = DataFolders(place=DataPlace(data_dir=self.data))
        self.cells: list[dict[str, object]] = []

    def spec(self, name: str) -> TaskSpec:
        kind, fields, metrics = SPECS[name]
        files = {"files": {"rows": f"{name}-{{lang}}.jsonl"}, "reader": "jsonl"}
        values = {"task": name, "type": kind, "description": "", "fields": fields, "metrics": metrics, "data": {"test": files}}
        return TaskSpec.model_validate({**values, "labels": TASKS[name].values, "languages": TASKS[name].languages})

    def cell(self, name: str, lang: str, *, seed: int | None = 1, intermediate: str = "none", **how: object) -> dict[str, float]:
        """Finish a cell; returns its scores by `metric.key`.  Of the last row of a language nothing is predicted."""
        spec = self.spec(name)
        (self.data / f"{name}-{lang}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS[name]))
        loaded = load_examples(spec, split="test", langs=[lang], place=self.folders.place)
        args = PredictArguments(
            model=ModelArguments(adapter="encoder", fingerprint=f"{seed}"),
            task=name,
            spec=portable(spec, split="test"),
            lang=lang,
            data=loaded.fingerprint,
            options={},
            head=name,
            limit=how.get("limit"),
        )
        predict = Stage(label=f"{intermediate}-{name}-{lang}", args=args)
        if name == "bucc2018":
            lines = [
                {"id": "1", "gold": PAIRS[:1], "prediction": PAIRS[:1]},
                {"id": "3", "gold": PAIRS[1:2], "prediction": PAIRS[2:]},
            ]
            lines = [{**line, "lang": lang, "notes": [], "num_truncated": 0} for line in lines]
        else:
            lines = [self.line(name, example, loaded.examples, seed=seed) for example in loaded.examples]
            lines[-1]["prediction"] = None
        folder = begin(predict, self.root)
        write_text(folder / "predictions.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
        mark_done(predict, self.root, {"examples": len(lines)})
        metrics = SPECS[name][2]
        scored = ScoreArguments(metrics=tuple(metrics), signatures=(), score=(), lang=lang, seed=0)
        score = Stage(label=predict.label, args=scored, inputs=(predict,))
        begin(score, self.root)
        done = score_cell(lines, metrics=metrics, score=(), lang=lang, num_expected=len(lines))
        write_score(done, score.folder(self.root))
        mark_done(score, self.root, {})
        known = {"model": "tiny", "intermediate": intermediate, "task": name, "lang": lang, "seed": seed, "recipe": "short"}
        route = TASK_TYPES.load(spec.type).ROUTES[0]
        folders = {"train": ["train/x-0123456789"] if seed else [], "score": score.name, "predict": predict.name}
        self.cells.append({**known, "route": route, **folders, **how})
        return {key: value.value for key, value in done.metrics.items()}

    def line(self, name: str, example: object, examples: object, *, seed: int | None) -> dict[str, object]:
        rng = random.Random(f"{name} {example.lang} {example.id} {seed}")
        gold = example.gold
        other = {
            "xnli": lambda: "neutral",
            "panx": lambda: ["O"] * len(gold),
            "tatoeba": lambda: rng.choice(examples).id,
            "mlqa": lambda: "the house",
        }
        right = gold[0] if name == "mlqa" else gold
        found = {"id": example.id, "lang": example.lang, "gold": gold, "notes": [], "num_truncated": 0}
        return {**found, "prediction": right if rng.random() < 0.5 else other[name]()}

    def write(self) -> Path:
        tasks = {}
        for name in SPECS:
            key = f"{SPECS[name][2][0]}.f1"
            spec = {"type": SPECS[name][0], "version": 1, "languages": TASKS[name].languages, "score": [key]}
            tasks[name] = spec
        content = {"schema": 1, "models": {"tiny": {"adapter": "encoder"}}, "tasks": tasks, "cells": self.cells}
        write_json(self.root / "requests" / "0.json", content)
        return self.root


def test_what_is_written_scores_as_on_the_board(tmp_path: Path) -> None:
    run = FinishedRun(tmp_path)
    asked = [(name, lang) for name in SPECS for lang in ("de", "hi") if lang in TASKS[name].languages]
    board = {(name, lang): run.cell(name, lang) for name, lang in asked}
    out, gold = tmp_path / "out", tmp_path / "gold"
    written = export([run.write()], out, wanted=Wanted(), folders=run.folders, gold=gold, partial=True)
    assert written.num_rows["tatoeba"] == {"hi": 5, "de": 5}
    scores = score_submission(out, gold, partial=True)
    assert set(scores.tasks) == set(SPECS)
    for (name, lang), expected in board.items():
        found = scores.tasks[name].languages[lang].scores
        # The board's sums are correctly rounded, the script's run from left to right: the last digit may differ.
        assert {f"{SPECS[name][2][0]}.{key}": value for key, value in found.items()} == pytest.approx(expected, rel=1e-14)
    assert scores.tasks["mlqa"].languages["de"].unanswered == 1  # the row without a prediction, scored as wrong by both


def test_positions_follow_the_english_sentences_in_alphabetical_order(tmp_path: Path) -> None:
    run = FinishedRun(tmp_path)
    run.cell("tatoeba", "te", seed=None)
    folder = next((run.write() / "predict").iterdir())
    found = ["3", "0", "0", "4", "2"]  # for the English sentences b, a, Z, é, "a b", the foreign sentence found
    lines = [json.loads(line) for line in (folder / "predictions.jsonl").read_text().splitlines()]
    told = [{**line, "prediction": place} for line, place in zip(lines, found, strict=True)]
    (folder / "predictions.jsonl").write_text("".join(json.dumps(line) + "\n" for line in told))
    out, gold = tmp_path / "out", tmp_path / "gold"
    export([run.root], out, wanted=Wanted(), folders=run.folders, gold=gold, partial=True)
    # In order: Z (row 2), a (row 1), "a b" (row 4), b (row 0), é (row 3).
    assert TASKS["tatoeba"].file(gold, "te").read_text().split() == ["2", "1", "4", "0", "3"]
    assert TASKS["tatoeba"].file(out, "te").read_text().split() == ["0", "0", "2", "3", "4"]


def test_files_have_the_official_shapes(tmp_path: Path) -> None:
    run = FinishedRun(tmp_path)
    for name in SPECS:
        run.cell(name, "de")
    out, gold = tmp_path / "out", tmp_path / "gold"
    written = export([run.write()], out, wanted=Wanted(), folders=run.folders, gold=gold, partial=True)
    assert sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()) == [
        "bucc2018/test-de.tsv",
        "mlqa/test-de.json",
        "panx/test-de.tsv",
        "tatoeba/test-de.tsv",
        "xnli/test-de.tsv",
    ]
    assert (gold / "xnli/test-de.tsv").read_text().split("\n") == [row["label"] for row in ROWS["xnli"]] + [""]
    assert (out / "xnli/test-de.tsv").read_text().endswith("\n\n")  # nothing predicted: a line that is never right
    assert (gold / "panx/test-de.tsv").read_text() == "B-LOC\nI-LOC\nO\n\n\nB-PER\n\n"
    assert set(json.loads((out / "mlqa/test-de.json").read_text())) == {"x1", "x2"}
    assert (out / "bucc2018/test-de.tsv").read_text() == f"{PAIRS[0]}\n{PAIRS[2]}\n"
    assert (gold / "bucc2018/test-de.tsv").read_text() == f"{PAIRS[0]}\n{PAIRS[1]}\n"
    first, second = json.loads((gold / "mlqa/test-de.json").read_text())["data"][0]["paragraphs"]
    assert [asked["id"] for asked in first["qas"]] == ["x1", "x2"]
    assert first["qas"][0]["answers"][1] == {"text": "house", "answer_start": 8}
    assert second["context"][1:] == "elsewhere"
    said = {note.partition(":")[0]: note for note in written.notes if "not the whole of XTREME's test set" in note}
    assert set(said) == set(SPECS)  # of exactly those tasks, and each with its languages
    assert said["xnli"].endswith("(its label files do not fit these files): de 7 (XTREME: 5,010)")
    assert said["mlqa"].endswith("(what has no answer here scores 0 there): de 3 (XTREME: 4,517)")


def test_an_ambiguous_or_incomplete_run_is_refused_with_what_there_is(tmp_path: Path) -> None:
    run = FinishedRun(tmp_path)
    for seed in (1, 2):
        for intermediate in ("none", "mnli"):
            run.cell("xnli", "de", seed=seed, intermediate=intermediate)
    run.cell("panx", "yo", seed=2, limit=2)
    run.cell("tatoeba", "de", seed=None)
    root, out = run.write(), tmp_path / "out"

    def attempt(**wanted: object) -> str:
        with pytest.raises(UserError) as raised:
            export([root], out, wanted=Wanted(**wanted), folders=run.folders)
        assert not out.exists()
        return str(raised.value)

    said = attempt()
    assert "2 intermediate settings\n  found: mnli, none\n  to do: choose one, e.g. --intermediate" in said
    assert "2 training seeds\n  found: 1, 2" in said
    assert "did you mean 'mnli'?" in attempt(intermediate="mnly", seed=1)
    said = attempt(intermediate="none", seed=2)
    assert "6 of the 9 tasks of XTREME are not in the run\n  found: no pawsx, udpos, bucc2018, xquad, mlqa, tydiqa" in said
    assert "14 of 15 languages of xnli are not complete\n  found: ar, bg, el, " in said
    assert "yo (only a part of its rows (--limit 2))" in said
    written = export([root], out, wanted=Wanted(intermediate="none", seed=2), folders=run.folders, partial=True)
    assert set(written.tasks) == {"xnli", "tatoeba"}  # the sample of panx is no part of a submission
    with pytest.raises(UserError, match="out is not an empty folder"):
        export([root], out, wanted=Wanted(intermediate="none", seed=1), folders=run.folders, partial=True)
    with pytest.raises(UserError, match="need a folder each"):
        export([root], tmp_path / "a", wanted=Wanted(), folders=run.folders, gold=tmp_path / "a" / "gold", partial=True)


def test_a_killed_run_that_predicted_nothing_is_no_second_recipe(tmp_path: Path) -> None:
    run = FinishedRun(tmp_path)
    run.cell("xnli", "de")
    unborn = {"score": "score/never-0123456789", "predict": "predict/never-0123456789"}
    run.cells += [{**run.cells[0], **unborn, "recipe": "long", "seed": seed} for seed in (1, 7)]
    written = export([run.write()], tmp_path / "out", wanted=Wanted(), folders=run.folders, partial=True)
    assert set(written.tasks["xnli"].cells) == {"de"}
    with pytest.raises(UserError, match="de \\(not finished\\)"):
        export([run.root], tmp_path / "other", wanted=Wanted(recipe="long", seed=1), folders=run.folders)


def test_rows_that_changed_since_the_prediction_are_refused(tmp_path: Path) -> None:
    run = FinishedRun(tmp_path)
    run.cell("tatoeba", "de")
    with (run.data / "tatoeba-de.jsonl").open("a") as file:
        file.write('{"s": "new", "t": "new"}\n')
    with pytest.raises(UserError, match=r"(?s)tatoeba, language de: the test rows are not those.*expected: file:.*found: file:"):
        export([run.write()], tmp_path / "out", wanted=Wanted(), folders=run.folders, partial=True)


def test_labels_that_xtreme_does_not_have_are_refused(tmp_path: Path) -> None:
    run = FinishedRun(tmp_path)
    run.cell("xnli", "de")
    path = next((run.write() / "predict").iterdir()) / "predictions.jsonl"
    path.write_text(path.read_text().replace('"prediction": "neutral"', '"prediction": "1"'))
    with pytest.raises(UserError, match=r"(?s)XTREME's xnli does not have.*expected: contradiction.*found: 1"):
        export([run.root], tmp_path / "out", wanted=Wanted(), folders=run.folders, partial=True)


@pytest.mark.real
def test_real_rows_there_and_back(shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs, out, gold = tmp_path / "runs", tmp_path / "out", tmp_path / "gold"
    data = ["--data_dir", str(shared / "hub")]
    asked = ["--model", "random", "--tasks", "panx,tydiqa,tatoeba", "--languages", "te", "--output_path", str(runs)]
    assert run_eval.main([*asked, *data, "--quiet"]) == 0
    export_ = ["submission", "export", str(runs), "--output", str(out), "--gold", str(gold), "--partial", *data]
    assert run_eval.main(export_) == 0
    capsys.readouterr()
    scores = score_submission(out, gold, partial=True)
    board = json.loads((runs / "leaderboard.json").read_text())
    values = {entry["task"]: entry["score"]["value"] for entry in board["task_scores"]}
    assert {name: task.value for name, task in scores.tasks.items()} == pytest.approx(values, rel=1e-13)
    assert 0 < values["tydiqa"] < 100
