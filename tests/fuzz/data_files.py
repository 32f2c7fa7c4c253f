"""Fuzzer of data: small files of every reader, and mirrors of hub datasets, with something wrong in one of them.

case = make(random.Random("1 7"), folder)       # a task with its rows; case.commands validate, plan and run it with a fake
"""

import gzip
import io
import json
import random
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import yaml
from fuzzing import FuzzCase
from hostile_values import TEXTS, mangled

PAIRS = [{"id": f"r{n}", "a": f"text {n}", "b": f"other {n}", "label": ("no", "yes")[n % 2], "n": n} for n in range(6)]
SENTENCES = [(["Ada", "sees", "Kazan"], ["B-PER", "O", "B-LOC"]), (["It", "rains"], ["O", "O"])]
CONLLU = (
    "# sent_id = 1\n# text = du vois\n1-2\tdu\t_\t_\t_\t_\t_\t_\t_\t_\n1\tde\tde\tADP\tP\t_\t3\tcase\t3:case\t_\n"
    "2\tle\tle\tDET\tD\t_\t3\tdet\t_\t_\n3\tvois\tvoir\tVERB\tV\t_\t0\troot\t_\t_\n3.1\tx\tx\tVERB\tV\t_\t_\t_\t0:root\t_\n\n"
)
SQUAD = {
    "version": "1.1",
    "data": [
        {
            "title": "t",
            "paragraphs": [
                {
                    "context": "Ada lives in Kazan.",
                    "qas": [
                        {"id": "q1", "question": "Who?", "answers": [{"text": "Ada", "answer_start": 0}]},
                        {"id": "q2", "question": "Where?", "answers": [{"text": "Kazan", "answer_start": 13}]},
                    ],
                }
            ],
        }
    ],
}
JSON_VALUES = (
    "9" * 5000, "-" + "9" * 5000, "1e999", "-1e999", "NaN", "Infinity", "1.5", "-1", "7", "0", "true", "null", "[]", "{}",
    "[null]", "[[1]]", '{"a": 1, "a": 2}', '"\\ud800"', '"\\udc00\\ud800"', '"\\u0000"', '"\\u001b[31m"', '""', '" "',
    "[" * 3000 + "]" * 3000, '{"a":' * 3000 + "1" + "}" * 3000, "[" * 200000, "1" * 30, "1e400", "0.1e-400", '["a", "b"]',
    '{"text": "a"}', "tru", "'a'", "\x01", '"\x01"', '"\ufffe"', "12345678901234567890.5", "9007199254740993",
    "5" * 310 + ".5",
)  # fmt: skip
"What may stand in JSON in place of a value."


def _jsonl(rows) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def _tsv(rows) -> bytes:
    return "".join("\t".join(map(str, row.values())) + "\n" for row in [{key: key for key in rows[0]}, *rows]).encode()


def _tags(sentences) -> bytes:
    return "\n".join("".join(f"{token}\t{tag}\n" for token, tag in zip(*sentence)) for sentence in sentences).encode()


def _task(kind: str, fields: dict, source: dict, **more) -> dict:
    metrics = {"classification": "accuracy", "tagging": "entity_f1", "span_qa": "squad", "retrieval": "accuracy"}
    found = {"type": kind, "description": "d", "languages": ["de"], "data": {"test": source}, "fields": fields}
    metric = metrics.get(kind)
    return {**found, **({"metrics": [metric]} if metric else {}), **more}


TEXT_FIELDS = {"id": "id", "text": "a", "text_pair": {"template": "{{ b }}"}, "label": "label"}
LABELS = {"labels": ["no", "yes"], "metrics": ["accuracy"]}
TAGS = {"labels": ["O", "B-PER", "B-LOC"], "metrics": ["entity_f1"]}
TAG_FIELDS = {"tokens": "tokens", "tags": "tags"}
QA_FIELDS = {
    "id": "id",
    "context": "context",
    "question": "question",
    "answer_texts": "answers.text",
    "answer_starts": "answers.answer_start",
}


def _files(reader: str, **options) -> dict:
    return {"files": {"rows": "rows.txt"}, "reader": reader, **({"reader_options": options} if options else {})}


SPOILT_JSON = ("jsonl", "as_json", "squad")
KINDS = {
    "jsonl": (_task("classification", TEXT_FIELDS, _files("jsonl"), **LABELS), _jsonl(PAIRS)),
    "tsv": (_task("classification", TEXT_FIELDS, _files("tsv", header=True), **LABELS), _tsv(PAIRS)),
    "tsv_where": (
        _task("classification", TEXT_FIELDS, {**_files("tsv", header=True), "where": [{"column": "n", "prefix": ""}]}, **LABELS),
        _tsv(PAIRS),
    ),
    "as_json": (_task("classification", TEXT_FIELDS, _files("as_datasets", builder="json"), **LABELS), _jsonl(PAIRS)),
    "as_csv": (
        _task("classification", TEXT_FIELDS, _files("as_datasets", builder="csv", arguments={"sep": "\t"}), **LABELS),
        _tsv(PAIRS),
    ),
    "token_tsv": (_task("tagging", TAG_FIELDS, _files("token_tsv"), **TAGS), _tags(SENTENCES)),
    "conllu": (
        _task("tagging", TAG_FIELDS, _files("conllu"), labels=["ADP", "DET", "VERB"], metrics=["token_accuracy"]),
        CONLLU.encode(),
    ),
    "ud_fused": (
        _task("tagging", TAG_FIELDS, _files("ud_fused"), labels=["ADP", "DET", "VERB"], metrics=["token_accuracy"]),
        CONLLU.encode() * 2,
    ),
    "ccg": (
        _task("tagging", TAG_FIELDS, _files("ccg"), labels=["N/N", "N"], metrics=["token_accuracy"]),
        b"ID=1\nMr.|NNP|N/N Vinken|NNP|N\n(<T N 0 2> (<L N/N NNP NNP Mr. N_1/N_1>) (<L N NNP NNP Vinken N>) )\n",
    ),
    "squad": (_task("span_qa", QA_FIELDS, _files("squad_json"), metrics=["squad"]), json.dumps(SQUAD, indent=1).encode()),
    "parquet": (_task("classification", TEXT_FIELDS, {"hub": "org/small", "split": "test"}, **LABELS), b""),
}
"Reader -> a task that reads rows.txt, and its bytes."


def _spoilt_json(data: bytes, rng: random.Random) -> bytes:
    """JSON whose one value is another, hostile one."""
    text = data.decode()
    places = [at for at, letter in enumerate(text) if letter == ":" and text[at + 1 : at + 2] == " "]
    at = rng.choice(places) + 2
    ends = [end for end in (text.find(mark, at) for mark in (", ", "}", "\n")) if end >= 0]
    value = rng.choice(JSON_VALUES) if rng.random() < 0.7 else json.dumps(rng.choice(TEXTS))
    made = text[:at] + value + text[min(ends) :]
    if rng.random() < 0.15:  # a key twice
        key = rng.choice(("id", "a", "label", "text", "context"))
        made = made.replace(f'"{key}": ', f'"{key}": 1, "{key}": ', 1)
    return made.encode("utf-8", "surrogatepass")


def _spoilt_text(data: bytes, rng: random.Random) -> bytes:
    """A table one of whose cells holds another text."""
    text = data.decode()
    cells = [at for at, letter in enumerate(text) if letter in "\t|"]
    at = rng.choice(cells) + 1
    ends = [end for end in (text.find(mark, at) for mark in ("\t", "\n", "|", " ")) if end >= 0]
    return (text[:at] + rng.choice(TEXTS) + text[min(ends, default=len(text)) :]).encode("utf-8", "surrogatepass")


def _packed(data: bytes, rng: random.Random) -> tuple[bytes, str]:
    """The file as gzip, mostly a broken one, or as what only looks like it."""
    packed = gzip.compress(data)
    pick = rng.randrange(5)
    if pick == 0:
        return packed, ".gz"
    if pick == 1:
        return mangled(packed, rng), ".gz"
    if pick == 2:
        return packed[: rng.randrange(len(packed))], ".gz"
    if pick == 3:
        return packed[:12] + bytes(255 - byte for byte in packed[12:20]) + packed[20:], ".gz"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("rows.txt", data)
    return buffer.getvalue(), rng.choice((".gz", ".txt"))


HOSTILE_COLUMNS = (
    pa.array([None] * 6), pa.array([None, "a"] * 3), pa.array([b"\xff\xfe"] * 6), pa.array([["a"]] * 6),
    pa.array([{"x": 1}] * 6), pa.array([1.5, float("nan"), float("inf"), 0, -1, 2]), pa.array([2**63 - 1] * 6),
    pa.array([True, False] * 3), pa.array(["\x00"] * 6), pa.array(["\x1b[31m"] * 6), pa.array(["x" * 5000] * 6),
    pa.array([10**12] * 6, pa.timestamp("us")), pa.array([10**18] * 6, pa.date64()), pa.array([2**40] * 6, pa.timestamp("s")),
    pa.array([1] * 6, pa.duration("us")), pa.array(["no", "yes"] * 3).dictionary_encode(),
    pa.array([[("k", 1)]] * 6, pa.map_(pa.string(), pa.int64())), pa.array([b"ab"] * 6, pa.binary(2)),
    pa.array([0.5] * 6, pa.float16()), pa.array(["a", "b"] * 3, pa.large_string()),
    pa.array([[1, 2]] * 6, pa.list_(pa.int64(), 2)), pa.array(["a"] * 6, pa.string_view()),
    pa.array([9999999999] * 6, pa.date64()), pa.array([99999999] * 6, pa.date32()),
    pa.array([86399999999] * 6, pa.time64("us")),
)  # fmt: skip
"Columns of six rows."
METADATA = (
    b"{", b"[]", b"null", b"\xff", b"{}", b'{"info": 1}', b'{"info": {"features": []}}',
    b'{"info": {"features": {"label": 1}}}', b'{"info": null}', b'{"info": {"features": null}}',
    b'{"info": {"features": {"label": {"_type": "ClassLabel", "names": 5}}}}',
    b'{"info": {"features": {"label": {"_type": "ClassLabel", "names": [1, null]}}}}', b"[" * 5000,
    b'{"info": {"features": {"label": {"_type": "ClassLabel", "names": ["no"]}}}}',
)  # fmt: skip
READMES = (
    "---\nconfigs: 5\n---\n", "---\nconfigs:\n- config_name: default\n  data_files: 5\n---\n", "---\n: [\n---\n", "---\nx\n",
    "---\n!!int x\n---", "---\nconfigs:\n- config_name: default\n  data_files:\n  - {split: test, path: ['**']}\n---\n",
    "---\n? [a]\n: b\n---\n", "---\nconfigs:\n- {config_name: default, data_files: [{split: test, path: '/etc/*'}]}\n---\n",
    "---\n- - - -\n---\n", "---\nconfigs:\n- {config_name: default, data_files: [{split: test, path: ''}]}\n---\n", "\ud800",
    "---\n" + "[" * 3000 + "\n---\n",
    "---\nconfigs:\n- {config_name: default, data_dir: '/', data_files: [{split: test, path: '[a-'}]}\n---\n",
    "---\n!!timestamp x\n---\n",
    "---\nconfigs:\n- {config_name: default, data_files: [{split: test, path: \"a\\0b\"}]}\n---\n",
    "---\nconfigs: &a [*a]\n---\n",
    "---\nconfigs:\n- {config_name: default, data_files: [{split: test, path: '../../*'}]}\n---\n",
    "---\n" + "a" * 99 + ": !!binary x\n---\n",
)  # fmt: skip


def _mirror(folder: Path, rng: random.Random) -> str:
    """A mirror of one dataset with one thing wrong."""
    dataset = folder / "mirror" / "org" / "small"
    (dataset / "data").mkdir(parents=True)
    path = dataset / "data" / "test-00000-of-00001.parquet"
    table = pa.Table.from_pylist(PAIRS)
    pick, what = rng.randrange(6), ""
    if pick in (0, 1):
        name = rng.choice(table.column_names)
        column = rng.choice(HOSTILE_COLUMNS)
        what = f"column {name} of {column.type}"
        table = table.set_column(table.column_names.index(name), name, column)
    elif pick == 2:
        table, what = table.replace_schema_metadata({b"huggingface": rng.choice(METADATA)}), "metadata"
    pq.write_table(table, path)
    if pick == 3:
        path.write_bytes(mangled(path.read_bytes(), rng))
        what = "parquet bytes"
    elif pick == 4:
        text = rng.choice(READMES)
        (dataset / "README.md").write_bytes(text.encode("utf-8", "surrogatepass"))
        what = "README"
    elif pick == 5:
        other = rng.choice(("arrow", "folder", "empty", "none", "two"))
        what = f"in its place: {other}"
        if other == "arrow":
            feather.write_feather(table, path)
        elif other == "folder":
            path.unlink()
            path.mkdir()
        elif other == "empty":
            pq.write_table(table.slice(0, 0), path)
        elif other == "none":
            path.unlink()
        else:
            pq.write_table(pa.table({"a": [1], "label": [[1]]}), dataset / "data" / "test-00001-of-00002.parquet")
    return what


def make(rng: random.Random, folder: Path) -> FuzzCase:
    """A task whose rows are spoilt."""
    kind = rng.choice(list(KINDS))
    task, data = KINDS[kind]
    suffix, place = ".txt", ()
    if kind == "parquet":
        what = _mirror(folder, rng)
        place = ("--data_dir", str(folder / "mirror"))
        if rng.random() < 0.3:
            split = rng.choice(
                ("test[:2]", "test[2:4]+test[:1]", "test[:-99]", "test[9:2]", "test[:50%]", "test[", "test[a:b]", "test[:1]x")
            )
            task, what = {**task, "data": {"test": {"hub": "org/small", "split": split}}}, f"{what}, {split}"
    else:
        pick = rng.random()
        if pick < 0.25:
            what, data = "bytes", mangled(data, rng)
        elif pick < 0.35:
            what = "packed"
            data, suffix = _packed(data, rng)
        elif kind in SPOILT_JSON:
            what, data = "a value", _spoilt_json(data, rng)
        else:
            what, data = "a cell", _spoilt_text(data, rng)
        source = {**task["data"]["test"], "files": {"rows": f"rows{suffix}"}}
        task = {**task, "data": {"test": source}}
        (folder / f"rows{suffix}").write_bytes(data)
    path = folder / "spoilt.yaml"
    path.write_text(yaml.safe_dump({"task": "spoilt", **task}, sort_keys=False), encoding="utf-8")
    asked = ("--tasks", "spoilt", "--include_path", str(path), *place, "--recipe", "mini", "--output_path", str(folder / "runs"))
    commands: list[tuple[str, ...]] = [("validate", str(path), *place)]
    fake = rng.choice(("constant", "oracle", "random"))
    commands.append(("plan", "--model", fake, *asked))
    if rng.random() < 0.5:
        commands.append(("run", "--model", fake, *asked, "--quiet"))
    return FuzzCase(f"{kind}: {what}", tuple(commands))
