"""Readers give the rows of a file as they stand there, and name file and line of what does not fit."""

import gzip
import json

import pytest

from harness.api.errors import UserError
from harness.api.registry import READERS
from harness.specs.model import field_docs


def read(name, files, **options):
    files = files if isinstance(files, dict) else {"rows": files}
    return list(READERS.load(name).read(files, lang="de", options=options))


@pytest.fixture
def write(tmp_path):
    def write_file(text, name="rows.txt"):
        path = tmp_path / name
        data = text.encode() if isinstance(text, str) else text
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return path

    return write_file


def test_every_reader_declares_its_roles_and_documents_its_options():
    for name in READERS.names():
        module = READERS.load(name)
        assert READERS.constant(name, "ROLES") == module.ROLES
        assert set(field_docs(module.Options)) == set(module.Options.model_fields), name


@pytest.mark.parametrize("name", ["jsonl", "tsv", "token_tsv", "conllu", "squad_json", "text_lines", "as_datasets"])
def test_unknown_options_and_roles_are_errors(name, write):
    path = write("")
    with pytest.raises(UserError, match="has no option 'heder'"):
        read(name, path, heder=True)
    with pytest.raises(UserError, match="roles rows"):
        read(name, {"row": path})


def test_jsonl(write):
    assert read("jsonl", write('{"a": 1}\n\n{"a": "\u2028x"}\n')) == [{"a": 1}, {"a": "\u2028x"}]
    assert read("jsonl", write('{"a": 1}', "rows.jsonl.gz")) == [{"a": 1}]


@pytest.mark.parametrize(("text", "line"), [('{"a": 1}\n{"a": \n', 2), ('{"a": 1}\n\n[1]\n', 3)])
def test_jsonl_errors_name_file_and_line(write, text, line):
    with pytest.raises(UserError, match=rf"rows.txt:{line}: not "):
        read("jsonl", write(text))


def test_tsv_knows_no_quoting_and_loses_no_row(write):
    path = write('id\ttext\r\n1\t"open quote\r\n2\tclosed" and \'\r\n3\tspace \x85\u2028 stays\r\n')
    assert read("tsv", path, header=True) == [
        {"id": "1", "text": '"open quote'},
        {"id": "2", "text": "closed\" and '"},
        {"id": "3", "text": "space \x85\u2028 stays"},
    ]


def test_tsv_without_header_keeps_the_first_row(write):
    assert read("tsv", write("\ufeffa\tb\nc\t\n"), columns=["x", "y"]) == [{"x": "a", "y": "b"}, {"x": "c", "y": ""}]


def test_tsv_errors(write):
    with pytest.raises(UserError, match=r"(?s)rows.txt:2: wrong number.*expected: 2 \(x, y\).*found: 3"):
        read("tsv", write("a\tb\na\tb\tc\n"), columns=["x", "y"])
    with pytest.raises(UserError, match="either `header: true` or `columns"):
        read("tsv", write("a\tb\n"))
    with pytest.raises(UserError, match=r"rows.txt:2: not UTF-8"):
        read("tsv", write(b"a\n\xff\n"), columns=["x"])


def test_broken_gzip_is_said_with_its_place(tmp_path):
    path = tmp_path / "rows.txt.gz"
    path.write_bytes(gzip.compress(b"abc\n" * 10000)[:-10])
    with pytest.raises(UserError, match="broken gzip file"):
        read("text_lines", path)


def test_token_tsv_tolerates_double_blank_lines_and_strips_at_the_first_colon(write):
    path = write("en:12:30\tO\nen::\tO\n\n\nen:Rome\tB-LOC\n")
    assert read("token_tsv", path, strip_prefix=True) == [
        {"tokens": ["12:30", ":"], "tags": ["O", "O"]},
        {"tokens": ["Rome"], "tags": ["B-LOC"]},
    ]


def test_token_tsv_without_tags_and_errors(write):
    assert read("token_tsv", write("a\nb\n\nc"), tags=False) == [{"tokens": ["a", "b"]}, {"tokens": ["c"]}]
    with pytest.raises(UserError, match=r"(?s)rows.txt:2: wrong number of columns.*token TAB tag"):
        read("token_tsv", write("a\tX\nb\n"))
    with pytest.raises(UserError, match=r"rows.txt:1: no language prefix"):
        read("token_tsv", write("a\tX\n"), strip_prefix=True)


CONLLU = """# sent_id = s1
# text = won't go
1-2\twon't\t_\t_\t_\t_\t_\t_\t_\t_
1\two\twill\tAUX\tMD\t_\t_\t_\t_\t_
2\tn't\tnot\tPART\tRB\t_\t_\t_\t_\t_
2.1\tx\tx\tVERB\tVB\t_\t_\t_\t_\t_

"""


def test_conllu_gives_syntactic_words(write):
    row = {"tokens": ["wo", "n't"], "tags": ["AUX", "PART"], "sent_id": "s1", "text": "won't go"}
    assert read("conllu", write(CONLLU)) == [row]
    assert read("conllu", write(CONLLU), tag="xpos")[0]["tags"] == ["MD", "RB"]
    assert read("conllu", write(CONLLU), empty_nodes=True)[0]["tokens"] == ["wo", "n't", "x"]


def test_conllu_errors(write):
    with pytest.raises(UserError, match=r"rows.txt:8: not a CoNLL-U word line"):
        read("conllu", write(CONLLU + "1\tonly two\n"))
    with pytest.raises(UserError, match="option words"):
        read("conllu", write(CONLLU), words="fused")


def squad(qas, context="  Ada wrote it. "):
    return json.dumps({"data": [{"title": "T", "paragraphs": [{"context": context, "qas": qas}]}]})


def test_squad_json_never_strips_contexts(write):
    (row,) = read("squad_json", write(squad([{"id": "q", "question": "Who?", "answers": [{"text": "Ada", "answer_start": 2}]}])))
    assert row["context"] == "  Ada wrote it. "
    assert row["context"][row["answers"]["answer_start"][0] :].startswith(row["answers"]["text"][0])
    assert (row["id"], row["title"], row["is_impossible"]) == ("q", "T", False)


def test_squad_json_errors_name_the_line_or_the_key_path(write):
    with pytest.raises(UserError, match=r"rows.txt:2: not JSON"):
        read("squad_json", write('{"data":\n nothing}'))
    with pytest.raises(UserError, match=r"data\[0\].paragraphs\[0\].qas\[1\]: no 'id'"):
        read("squad_json", write(squad([{"id": "q", "question": "?"}, {"question": "?"}])))


def test_parallel_text(write):
    sides = {"source": write("ja\nnein\n", "a.de"), "target": write("yes\nno\n", "a.en.gz")}
    assert read("parallel_text", sides) == [{"source": "ja", "target": "yes"}, {"source": "nein", "target": "no"}]


def test_parallel_text_errors(write):
    long, short, blank = write("ja\nnein\n", "a.de"), write("yes\n", "a.en"), write("yes\n \n", "b.en")
    with pytest.raises(UserError, match=r"a.en:2: the files differ in length"):
        read("parallel_text", {"source": long, "target": short})
    with pytest.raises(UserError, match=r"b.en:2: blank line"):
        read("parallel_text", {"source": long, "target": blank})
    assert read("parallel_text", {"source": long, "target": blank}, skip_blank=True) == [{"source": "ja", "target": "yes"}]


def test_text_lines(write):
    assert read("text_lines", write("one\n\n  two\n")) == [{"text": "one"}, {"text": "  two"}]
