"""Rows that no file should hold are told with file and line, whatever reads them."""

import gzip
import json
from time import process_time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from small_mirrors import NliMirror, nli_task, pair
from small_tasks import pairs, write

import run_eval
from harness.api.errors import UserError
from harness.api.json_text import parse_json, read_json_file
from harness.api.registry import READERS
from harness.data.arrow import class_names
from harness.data.examples import load_examples

BLANK = "\t_" * 8
TREEBANK = (
    f"1-2\tdu{BLANK}\n1\tde\tde\tADP\tP\t_\t3\tcase\t3:case\t_\n2\tle\tle\tDET\tD\t_\t3\tdet\t_\t_\n"
    "3\tvois\tvoir\tVERB\tV\t_\t0\troot\t_\t_\n"
)


def refused(folder, content, name="rows.txt", reader="jsonl", **options):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))
    with pytest.raises(UserError) as error:
        list(READERS.load(reader).read({"rows": path}, lang="de", options=options))
    return str(error.value)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"a": 1, "a": 2}', "the key 'a' comes twice"),
        ('{"a": {"b": 1, "b": 1}}', "the key 'b' comes twice"),
        ('{"a": ' + "9" * 5000 + "}", "4300 digits"),
        ('{"a": ' + "[" * 3000 + "]" * 3000 + "}", "within each other without an end"),
        ("[" * 200_000, "within each other without an end"),
        (r'{"a": "x \ud800 y"}', "half a character"),
        (r'{"\udc00\ud800": 1}', "half a character"),
        ("{", "not JSON"),
    ],
)
def test_a_line_of_json_is_named(tmp_path, line, words):
    message = refused(tmp_path, f'{{"a": 1}}\n{line}\n')
    assert "rows.txt:2: " in message
    assert words in message
    assert len(message) < 600
    assert words in refused(tmp_path, f'{{"data":\n{line}}}', reader="squad_json")


def test_a_key_that_comes_twice_among_many_is_found_at_once():
    keys = [*range(200_000), 199_999]
    start = process_time()
    with pytest.raises(UserError, match="the key '199999' comes twice"):
        parse_json("{" + ",".join(f'"{key}":0' for key in keys) + "}", where="rows")
    assert process_time() - start < 5  # and minutes where each key is compared with all before it


def test_a_pair_of_halves_is_a_character():
    assert parse_json(r'"\ud83d\ude00"', where="rows") == "\U0001f600"


def test_files_that_are_no_text_are_named(tmp_path):
    assert "rows.txt:2: a NUL character" in refused(tmp_path, b"a\tb\nc\0\td\n", reader="tsv", columns=["x", "y"])
    assert "rows.txt:1: not UTF-8" in refused(tmp_path, "\ufeffa\tb\n".encode("utf-16"), reader="tsv", columns=["x", "y"])
    packed = gzip.compress(b'{"a": 1}\n' * 100)
    for broken in (packed[:-9], packed[:12] + b"\xff\xff\xff" + packed[15:], b"PK\x03\x04", packed[:5]):
        assert "broken gzip file" in refused(tmp_path, broken, name="rows.jsonl.gz")


def test_files_that_cannot_be_read_are_named(tmp_path):
    with pytest.raises(UserError, match=r"done\.json: cannot be read"):
        read_json_file(tmp_path / "done.json")
    (tmp_path / "list.json").write_text("[1]")
    with pytest.raises(UserError, match=r"(?s)list\.json: not what belongs here.*a JSON object"):
        read_json_file(tmp_path / "list.json", kind=dict)


@pytest.mark.parametrize(
    "column",
    [
        pa.array([10**12] * 3, pa.timestamp("s")),
        pa.array([3_000_000] * 3, pa.date32()),
        pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\2\0\0\0"), pa.py_buffer(b"\xff\xfe")]).take(
            [0, 0, 0]
        ),
    ],
)
def test_values_that_python_cannot_hold_are_named(tmp_path, column):
    mirror = NliMirror(tmp_path / "mirror")
    path = mirror("de/test-0.parquet", [pair(0), pair(1), pair(2)])
    table = pq.read_table(path)
    pq.write_table(table.set_column(0, "premise", column), path)
    with pytest.raises(UserError, match=r"mirror:org/nli/de/test: rows that cannot be read"):
        load_examples(nli_task(), split="test", langs=["de"], place=mirror.place)


def _names(metadata):
    return class_names(pa.schema([("a", pa.int64())]).with_metadata({"huggingface": metadata}), where="rows")


@pytest.mark.parametrize("metadata", [b"[]", b"null", b'{"info": 1}', b'{"info": {"features": [1]}}', b'{"info": null}'])
def test_metadata_without_names_of_classes_name_none(metadata):
    assert _names(metadata) == {}


@pytest.mark.parametrize("metadata", [b"{", b"\xff", b"[" * 5000, b'{"info": {}, "info": {}}'])
def test_metadata_that_are_no_json_are_named(metadata):
    with pytest.raises(UserError, match="rows, metadata of the columns"):
        _names(metadata)


@pytest.mark.parametrize("text", ["---\n!!int x\n---\n", "---\nconfigs: [{config_name: de, data_files: '/etc/*'}]\n---\n"])
def test_a_readme_that_nobody_wrote_so_is_named(tmp_path, text):
    mirror = NliMirror(tmp_path / "mirror")
    mirror("de/train-0.parquet", [pair(0)])
    mirror.readme(text)
    with pytest.raises(UserError, match=r"README\.md"):
        mirror.place.mirror_files("org/nli", config="de", split="train")


def test_a_text_that_a_template_spoils_is_found_by_validate_with_file_and_row(tmp_path, capsys):
    (tmp_path / "rows.jsonl").write_text("\n".join(json.dumps({"a": f"t {n}", "label": "no"}) for n in range(2)))
    template = r"{{ a }}{{ '\ud800' if a == 't 1' }}"
    fields = {"text": {"template": template}, "label": "label"}
    data = {"test": {"files": {"rows": "rows.jsonl"}, "reader": "jsonl"}}
    path = write(tmp_path, pairs("halved", langs=("de",), train=False, fields=fields, data=data))
    assert run_eval.main(["validate", str(path)]) == 2
    said = capsys.readouterr().err
    assert "rows.jsonl, row 2: field 'text' holds half a character" in said
    assert "'t 1\\ud800'" in said


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("1-2\tdu", "7-9\tdu", "1: a range without words of its own"),
        ("1-2\tdu", "2-1\tdu", "1: a range without words of its own"),
        ("3\tvois", "2-3\tx\t_\t_\t_\t_\t_\t_\t_\t_\n3\tvois", "1: a range without words of its own"),
        ("1-2\tdu", "1" * 5000 + "\tdu", "rows.txt:1: not a CoNLL-U word line"),
        ("1-2\tdu", "²\tdu", "rows.txt:1: not a CoNLL-U word line"),
    ],
)
def test_a_treebank_with_numbers_that_fit_nothing_is_named(tmp_path, old, new, words):
    assert words in refused(tmp_path, TREEBANK.replace(old, new), reader="ud_fused")


@pytest.mark.parametrize("number", ["²", "9" * 5000, "x"])
def test_a_head_that_is_no_number_is_none(tmp_path, number):
    (tmp_path / "rows.txt").write_text(TREEBANK.replace("3\tcase", f"{number}\tcase").replace("1-2\tdu", "1-999999999\tdu"))
    (row,) = READERS.load("ud_fused").read({"rows": tmp_path / "rows.txt"}, lang="fr", options={})
    assert row["tokens"] == ["du"]
