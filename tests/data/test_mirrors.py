"""The shipped tasks on mirrors in the hub's own layouts and column types, of datasets that few machines have.

Columns and types are those of the hub's google-research-datasets/paws-x, and of MLQA.* and PAWS-X.* in its google/xtreme.
"""

import json
from functools import cache

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import run_eval
from harness.api.errors import MissingData
from harness.data.examples import load_examples
from harness.data.locations import DataPlace
from harness.planning.catalog.catalog import Catalog

PAWSX, XTREME = "google-research-datasets/paws-x", "google/xtreme"
TEXT = {"dtype": "string", "_type": "Value"}
ANSWERS = {"answer_start": {"dtype": "int32", "_type": "Value"}, "text": TEXT}
FEATURES = {
    PAWSX: {
        "id": {"dtype": "int32", "_type": "Value"},
        "sentence1": TEXT,
        "sentence2": TEXT,
        "label": {"names": ["0", "1"], "_type": "ClassLabel"},
    },
    "PAWS-X": {"sentence1": TEXT, "sentence2": TEXT, "label": TEXT},
    "MLQA": {"id": TEXT, "title": TEXT, "context": TEXT, "question": TEXT, "answers": {"feature": ANSWERS, "_type": "Sequence"}},
}
PAWSX_SCHEMA = pa.schema([("id", pa.int32()), ("sentence1", pa.string()), ("sentence2", pa.string()), ("label", pa.int64())])
LOSSY_SCHEMA = pa.schema([("sentence1", pa.string()), ("sentence2", pa.string()), ("label", pa.string())])
SPANS = pa.struct([("answer_start", pa.list_(pa.int32())), ("text", pa.list_(pa.string()))])
MLQA_SCHEMA = pa.schema([*((name, pa.string()) for name in ("id", "title", "context", "question")), ("answers", SPANS)])
PAIRS = [
    ('He said "no" to her.', 'She said "no" to him.', 0),
    ('An open " quotation mark', "\ttabs and  spaces ", 1),
    ("Berlin liegt nördlich von München.", "München liegt südlich von Berlin.", 1),
    ("東京は京都より大きい。", "京都は東京より大きい。", 0),
]


@cache
def catalog():
    return Catalog()


@pytest.fixture(params=["header", "no header", "converted", "no metadata"])
def mirror(request, tmp_path):
    """Writes splits of a dataset: with a README, without one, as the hub converts them, without the hub's own metadata."""
    kind, configs = request.param, {}

    def write(hub, config, split, rows, schema, features):
        name = f"{config}/{split}/0000.parquet" if kind == "converted" else f"{config}/{split}-00000-of-00001.parquet"
        path = tmp_path / hub / name
        path.parent.mkdir(parents=True, exist_ok=True)
        table = pa.Table.from_pylist(rows, schema=schema)
        if kind != "no metadata":
            table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
        pq.write_table(table, path)
        if kind == "header":
            configs.setdefault(hub, {}).setdefault(config, []).append(f"  - split: {split}\n    path: {config}/{split}-*\n")
            listed = "".join(f"- config_name: {c}\n  data_files:\n{''.join(s)}" for c, s in configs[hub].items())
            (tmp_path / hub / "README.md").write_text(f"---\nlicense: other\nconfigs:\n{listed}---\n\n# Data\n")

    write.folder = tmp_path
    write.place = DataPlace(data_dir=tmp_path, offline=True)
    return write


def pawsx(mirror, *splits, langs=("en", "de")):
    for lang in langs:
        for split in splits or ("train", "validation", "test"):
            rows = [{"id": n, "sentence1": a, "sentence2": b, "label": c} for n, (a, b, c) in enumerate(PAIRS, start=1)]
            mirror(PAWSX, lang, split, rows, PAWSX_SCHEMA, FEATURES[PAWSX])


def pawsx_inside_xtreme(mirror, langs=("en", "de")):
    for lang in langs:
        for split in ("train", "validation", "test"):
            rows = [{"sentence1": a, "sentence2": b, "label": str(c)} for a, b, c in PAIRS]
            mirror(XTREME, f"PAWS-X.{lang}", split, rows, LOSSY_SCHEMA, FEATURES["PAWS-X"])


def mlqa(mirror, langs=("en", "de")):
    """The hub strips contexts: the second one began with two spaces, and its answer stands two characters further left."""
    for lang in langs:
        rows = [
            ("q1", "Ada Lovelace wrote the first program.", "Who wrote it?", [0], ["Ada Lovelace"]),
            ("q2", "The Rhine flows through Basel.", "Through what?", [26], ["Basel"]),
            ("q3", "Wien (Vienna) is the capital of Austria; Vienna is old.", "What is old?", [41], ["Vienna"]),
        ]
        for split in ("validation", "test"):
            table = [
                {"id": f"{lang}-{id_}", "title": "T", "context": c, "question": q, "answers": {"answer_start": s, "text": t}}
                for id_, c, q, s, t in rows
            ]
            mirror(XTREME, f"MLQA.{lang}.{lang}", split, table, MLQA_SCHEMA, FEATURES["MLQA"])
            crossed = [{**row, "context": "none", "answers": {"answer_start": [0], "text": ["none"]}} for row in table]
            mirror(XTREME, f"MLQA.{lang}.fr", split, crossed, MLQA_SCHEMA, FEATURES["MLQA"])


def load(mirror, task, split="test", lang="de"):
    return load_examples(catalog().task(task).spec, split=split, langs=[lang], place=mirror.place)


def oracle(mirror, tasks, capsys):
    """Scores of the oracle by task, through the command line."""
    output = mirror.folder / "runs"
    words = f"run --model oracle --tasks {tasks} --languages en,de --data_dir {mirror.folder} --output_path {output} --quiet"
    assert run_eval.main(words.split()) == 0, capsys.readouterr().err
    board = json.loads((output / "leaderboard.json").read_text(encoding="utf-8"))
    return {entry["task"]: entry["score"]["value"] for entry in board["task_scores"]}


def test_every_mirror_runs_with_the_shipped_tasks(mirror, capsys):
    pawsx(mirror)
    pawsx_inside_xtreme(mirror)
    mlqa(mirror)
    assert oracle(mirror, "pawsx,pawsx_xtreme,mlqa", capsys) == {"pawsx": 100, "pawsx_xtreme": 100, "mlqa": 100}


@pytest.mark.parametrize(("task", "write"), [("pawsx", pawsx), ("pawsx_xtreme", pawsx_inside_xtreme)])
def test_both_copies_of_pawsx_give_texts_and_labels_unchanged(mirror, task, write):
    write(mirror)
    for split in ("train", "validation", "test"):
        examples = load(mirror, task, split, "en").examples
        assert [(e.text, e.text_pair, int(e.gold)) for e in examples] == PAIRS
    assert [e.id for e in examples] == (["1", "2", "3", "4"] if task == "pawsx" else ["0", "1", "2", "3"])


def test_the_two_copies_of_pawsx_do_not_stand_in_for_each_other(mirror):
    pawsx_inside_xtreme(mirror)
    with pytest.raises(MissingData, match="google-research-datasets/paws-x, config de, split test"):
        load(mirror, "pawsx")


def test_mlqa_takes_question_and_context_in_the_same_language(mirror):
    mlqa(mirror)
    examples = load(mirror, "mlqa").examples
    assert [e.id for e in examples] == ["de-q1", "de-q2", "de-q3"]
    assert [e.gold for e in examples] == [["Ada Lovelace"], ["Basel"], ["Vienna"]]


def test_a_pawsx_row_without_a_label_is_dropped_and_counted(mirror):
    rows = [{"id": n, "sentence1": "a", "sentence2": "b", "label": label} for n, label in enumerate((0, -1, 1))]
    mirror(PAWSX, "de", "test", rows, PAWSX_SCHEMA, FEATURES[PAWSX])
    found = load(mirror, "pawsx")
    assert ([e.gold for e in found.examples], found.num_rows, found.num_dropped) == (["0", "1"], 3, 1)
