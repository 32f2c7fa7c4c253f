import json
import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness.api.errors import MissingData, UserError
from harness.data import file_hashes as hashes
from harness.data.arrow import class_names, to_rows
from harness.data.examples import data_fingerprint, load_examples, sample_ids
from harness.data.field_mapping import compile_fields
from harness.data.locations import DataPlace
from harness.data.overlap import example_hashes, text_hash, without
from harness.data.rows import fingerprint, load_rows
from harness.specs.task import Source, TaskSpec, Template

NLI = ["entailment", "neutral", "contradiction"]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    hashes._SEEN.clear()


@pytest.fixture
def mirror(tmp_path):
    """A place with one mirrored dataset `org/nli`, and a function that adds parquet files to it."""
    folder = tmp_path / "mirror"

    def write(name, rows, features=None):
        path = folder / "org" / "nli" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        table = pa.Table.from_pylist(rows)
        if features:
            table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
        pq.write_table(table, path)
        return path

    folder.mkdir()
    write.place = DataPlace.resolve(folder)
    write.readme = lambda text: (folder / "org" / "nli" / "README.md").write_text(text, encoding="utf-8")
    return write


def pair(number, label=0, **more):
    return {"premise": f"p {number}", "hypothesis": f"h {number}", "label": label, **more}


def labelled(names=NLI):
    return {"label": {"names": list(names), "_type": "ClassLabel"}, "premise": {"dtype": "string", "_type": "Value"}}


def nli_task(**changes):
    values = {
        "task": "nli",
        "type": "classification",
        "description": "a test",
        "languages": ["de", "fr"],
        "data": {"test": {"hub": "org/nli", "config": "{lang}", "split": "test"}},
        "fields": {"text": "premise", "text_pair": "hypothesis", "label": "label"},
        "labels": ["neutral", "contradiction", "entailment"],
    }
    return TaskSpec.model_validate({**values, **changes})


def source(**values):
    return Source.model_validate({"hub": "org/nli", "config": "de", "split": "test", **values})


# --- where files lie -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data_files",
    [
        "data_files: [{split: train, path: elsewhere/a-*}, {split: test, path: [data/x.parquet, data/y*.parquet]}]",
        "data_dir: data\n  data_files: [{split: test, path: ['x.*', 'y.*']}]",
    ],
)
def test_the_readme_header_rules_where_files_lie(mirror, data_files):
    mirror("data/y.parquet", [pair(2)])
    mirror("data/x.parquet", [pair(1)])
    mirror("default/test-00000.parquet", [pair(3)])
    mirror.readme(f"---\nlicense: mit\nconfigs:\n- config_name: default\n  {data_files}\n---\n\n# A dataset\n")
    rows = load_rows(source(config="default"), lang="de", place=mirror.place).rows
    assert [row["premise"] for row in rows] == ["p 1", "p 2"]


@pytest.mark.parametrize("data_files", ["all/*.parquet", "[all/*.parquet]"])
def test_data_files_without_splits_are_training_data(mirror, data_files):
    mirror("all/a.parquet", [pair(1)])
    mirror.readme(f"---\nconfigs:\n- config_name: de\n  data_files: {data_files}\n---\n")
    assert len(load_rows(source(split="train"), lang="de", place=mirror.place).rows) == 1
    with pytest.raises(MissingData):
        load_rows(source(split="test"), lang="de", place=mirror.place)


def test_without_a_header_the_hubs_own_layout_holds(mirror):
    mirror("de/test-00001-of-00002.parquet", [pair(2)])
    mirror("de/test-00000-of-00002.parquet", [pair(1)])
    found = load_rows(source(), lang="de", place=mirror.place)
    assert [row["premise"] for row in found.rows] == ["p 1", "p 2"]
    assert found.origin == "mirror:org/nli/de/test"


@pytest.mark.parametrize("name", ["default/test-0.parquet", "data/test-0.parquet", "default/test/0000.parquet"])
def test_the_only_config_lies_in_its_folder_in_data_or_as_the_hub_converts_it(mirror, name):
    mirror(name, [pair(1)])
    found = load_rows(source(config="default"), lang="de", place=mirror.place)
    assert [row["premise"] for row in found.rows] == ["p 1"]


def test_missing_data_names_task_language_places_and_command(mirror):
    mirror("de/test-0.parquet", [pair(1)])
    with pytest.raises(MissingData) as error:
        load_rows(source(config="{lang}"), lang="fr", place=mirror.place, task="nli")
    text = str(error.value)
    assert "task 'nli' has no data for language 'fr'" in text
    assert str(mirror.place.data_dir / "org/nli/fr/test-*.parquet") in text
    assert "offline" in text
    assert "python run_eval.py fetch --tasks nli --languages fr" in text


def test_data_dir_comes_from_the_flag_or_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("HARNESS_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("HF_HUB_OFFLINE")
    assert DataPlace.resolve(None) == DataPlace(data_dir=tmp_path.resolve(), offline=False)
    monkeypatch.setenv("HARNESS_DATA_DIR", str(tmp_path / "no"))
    with pytest.raises(UserError, match=r"\$HARNESS_DATA_DIR: there is no such folder"):
        DataPlace.resolve(None)


def test_local_files_are_looked_for_in_data_dir_then_beside_the_yaml(tmp_path):
    beside, first = tmp_path / "yaml", tmp_path / "data"
    for folder in (beside, first):
        folder.mkdir()
        (folder / "both.txt").write_text(folder.name)
    (beside / "one.txt").write_text("de text")
    place = DataPlace.resolve(first)

    def get(name):
        return load_rows(Source(files={"rows": name}, reader="text_lines"), lang="de", place=place, task="t", task_folder=beside)

    assert [get("both.txt").rows, get("one.txt").rows] == [[{"text": "data"}], [{"text": "de text"}]]
    with pytest.raises(MissingData, match=r"data/German.txt; .*yaml/German.txt"):
        get("{name}.txt")


# --- rows ------------------------------------------------------------------------------------------------------------


def test_arrow_values_equal_those_of_arrow_itself():
    rows = [
        {"a": 1, "t": "x", "l": ["u", "v"], "s": {"text": ["q"], "n": [3]}, "f": 0.5, "b": True, "m": [{"k": "1"}]},
        {"a": None, "t": None, "l": None, "s": None, "f": None, "b": None, "m": []},
        {"a": 3, "t": "", "l": [], "s": {"text": [], "n": None}, "f": 1.0, "b": False, "m": [{"k": None}]},
    ]
    table = pa.Table.from_pylist(rows)
    assert to_rows(table) == rows
    assert to_rows(table.slice(1, 2)) == rows[1:]
    assert to_rows(pa.concat_tables([table.slice(2), table])) == [rows[2], *rows]
    assert to_rows(table.slice(0, 0)) == []


def test_class_names_are_found_in_lists_and_structures():
    label = {"_type": "ClassLabel", "names": ["no", "yes"]}
    features = {
        "a": label,
        "b": {"_type": "Sequence", "feature": label},
        "c": {"x": label, "y": [label]},
        "d": {"_type": "Value", "dtype": "string"},
    }
    schema = pa.schema([], metadata={"huggingface": json.dumps({"info": {"features": features}})})
    assert class_names(schema) == dict.fromkeys(["a", "b", "c.x", "c.y"], ("no", "yes"))


def test_where_and_rename(mirror):
    mirror(
        "all/test-0.parquet",
        [pair(n, lang=lang, id=f"{name}-{n}") for n, (lang, name) in enumerate([("de", "german"), ("fr", "french")])],
    )
    renamed = source(config="all", where=[{"column": "lang", "equals": "{lang}"}], rename={"text": "premise", "hypothesis": "id"})
    (row,) = load_rows(renamed, lang="fr", place=mirror.place).rows
    assert row == {"text": "p 1", "hypothesis": "french-1", "label": 0, "lang": "fr"}
    prefixed = source(config="all", where=[{"column": "id", "prefix": "{name_lower}-"}])
    assert [row["premise"] for row in load_rows(prefixed, lang="de", place=mirror.place).rows] == ["p 0"]
    with pytest.raises(UserError, match=r"(?s)no column 'langg'.*did you mean 'lang'"):
        load_rows(source(config="all", where=[{"column": "langg", "equals": "x"}]), lang="de", place=mirror.place)


def test_where_and_rename_of_rows_that_a_reader_gives(tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"a": 1, "b": "de-1"}\n{"a": 2, "b": "fr-2"}\n{"a": 3, "b": null}\n')
    local = Source(
        files={"rows": "rows.jsonl"}, reader="jsonl", where=[{"column": "b", "prefix": "{lang}-"}], rename={"id": "b", "x": "a"}
    )
    found = load_rows(local, lang="fr", place=DataPlace.resolve(tmp_path))
    assert (found.rows, found.origin) == ([{"id": "fr-2", "x": 2}], "files:rows.jsonl")


def test_a_file_that_is_no_parquet_is_a_user_error(mirror):
    path = mirror("de/test-0.parquet", [pair(1)])
    path.write_bytes(b"not parquet")
    with pytest.raises(UserError, match=r"test-0.parquet: not a readable parquet file"):
        load_rows(source(), lang="de", place=mirror.place)


# --- fingerprints ----------------------------------------------------------------------------------------------------


def test_the_fingerprint_is_that_of_the_bytes_and_is_known_without_reading_rows(mirror):
    path = mirror("de/test-0.parquet", [pair(1)])
    before = fingerprint(source(), lang="de", place=mirror.place)
    assert before == load_rows(source(), lang="de", place=mirror.place).fingerprint
    assert before.startswith("file:")
    path.rename(path.with_name("test-1.parquet"))
    assert fingerprint(source(), lang="de", place=mirror.place) == before
    mirror("de/test-1.parquet", [pair(2)])
    assert fingerprint(source(), lang="de", place=mirror.place) != before


def test_hashes_are_remembered_until_size_or_time_changes(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("aaaa")
    os.utime(path, ns=(1, 1))
    (first,) = hashes._digests([path])
    stored = json.loads((hashes.cache_folder() / "file_hashes.json").read_text())
    assert stored == {str(path): [4, 1, first]}
    path.write_text("bbbb")
    os.utime(path, ns=(1, 1))
    hashes._SEEN.clear()
    assert hashes._digests([path]) == [first]  # same size and time: not read again
    os.utime(path, ns=(2, 2))
    assert hashes._digests([path]) != [first]


def test_the_fingerprint_of_a_split_covers_every_source_and_language(mirror):
    for lang in ("de", "fr"):
        mirror(f"{lang}/test-0.parquet", [pair(lang)])
    task = nli_task()
    both = data_fingerprint(task, split="test", langs=["de", "fr"], place=mirror.place)
    assert both == load_examples(task, split="test", langs=["de", "fr"], place=mirror.place).fingerprint
    assert len({both, *(data_fingerprint(task, split="test", langs=[lang], place=mirror.place) for lang in ("de", "fr"))}) == 3


# --- fields ----------------------------------------------------------------------------------------------------------


def test_fields_are_paths_into_structures_and_lists_of_structures():
    mapped = compile_fields({"texts": "answers.text", "starts": "spans.start", "dotted": "a.b"})
    row = {"answers": {"text": ["x"]}, "spans": [{"start": 1}, {"start": 2}], "a.b": "whole name first", "a": {"b": "no"}}
    assert mapped(row) == {"texts": ["x"], "starts": [1, 2], "dotted": "whole name first"}
    assert compile_fields({"t": "answers.text"})({"answers": None}) == {"t": None}


def test_fields_are_templates():
    fields = {"source": Template(template="{{ s | trim }}"), "both": Template(template="{{ s }}<{{ a.text[0] }}>\n")}
    assert compile_fields(fields)({"s": " x\n", "a": {"text": ["&"]}}) == {"source": "x", "both": " x\n<&>\n"}


def test_fields_are_lists_of_columns_and_templates_or_a_template_for_each_item():
    fields = {"several": ("a", Template(template="{{ a }}!"), "c.d"), "each": Template(template="{{ a }} {{ item }}", each="c.e")}
    assert compile_fields(fields)({"a": "x", "c": {"d": "y", "e": ["1", "2"]}}) == {
        "several": ["x", "x!", "y"],
        "each": ["x 1", "x 2"],
    }
    task = nli_task(fields={"text": ["a", {"template": "{{ b }}"}], "label": {"template": "{{ item }}", "each": "c"}})
    assert task.fields == {"text": ("a", Template(template="{{ b }}")), "label": Template(template="{{ item }}", each="c")}
    assert TaskSpec.model_validate(task.model_dump(mode="json", exclude_defaults=True)) == task


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (("premise", "premis"), "did you mean 'premise'"),
        (Template(template="{{ item }}", each="premise"), "'premise' is no list"),
        (Template(template="{{ item }}", each="premis"), "did you mean 'premise'"),
        ("premis", "did you mean 'premise'"),
        ("premise.text", "goes into a value that has no parts"),
        (Template(template="{{ premis }}"), "'premis' is undefined"),
        (Template(template="{{ premise.__class__.__mro__ }}"), "unsafe|undefined"),
        (Template(template="{{ premise + 1 }}"), "TypeError"),
        (Template(template="{{ premise "), "is not Jinja2"),
    ],
)
def test_fields_that_cannot_be_computed_are_errors(value, message):
    with pytest.raises(UserError, match=f"(?s)field 'text'.*({message})"):
        compile_fields({"text": value})({"premise": "p"})


# --- examples --------------------------------------------------------------------------------------------------------


def golds(task, mirror, langs=("de",), **options):
    return [e.gold for e in load_examples(task, split="test", langs=langs, place=mirror.place, **options).examples]


def test_class_numbers_take_the_names_of_the_data_whatever_the_order_of_the_task(mirror):
    mirror("de/test-0.parquet", [pair(0, 0), pair(1, 1), pair(2, 2)], labelled())
    assert golds(nli_task(), mirror) == NLI


def test_class_numbers_without_names_are_places_in_the_tasks_labels(mirror):
    mirror("de/test-0.parquet", [pair(0, 0), pair(1, 1), pair(2, 2)])
    assert golds(nli_task(), mirror) == ["neutral", "contradiction", "entailment"]


def test_label_values_name_numbers_and_names(mirror):
    mirror("de/test-0.parquet", [pair(0, 0), pair(1, 1), pair(2, 2)], labelled(["e", "neutral", "c"]))
    values = {"e": "entailment", "2": "neutral", "neutral": "drop"}
    assert golds(nli_task(label_values=values), mirror) == ["entailment", "neutral"]


def test_rows_without_a_label_are_dropped_and_counted(mirror):
    mirror("de/test-0.parquet", [pair(0, -1), pair(1, 1)], labelled())
    found = load_examples(nli_task(), split="test", langs=["de"], place=mirror.place)
    assert ([e.id for e in found.examples], found.num_rows, found.num_dropped) == (["1"], 2, 1)


def test_a_class_that_is_no_label_of_the_task_names_both_lists(mirror):
    mirror("de/test-0.parquet", [pair(0, 0)], labelled(["other", "neutral", "contradiction"]))
    with pytest.raises(UserError) as error:
        golds(nli_task(), mirror)
    assert "mirror:org/nli/de/test, language de, row 0: the data's class 'other' is no label" in str(error.value)
    assert "classes of the data: other, neutral, contradiction" in str(error.value)
    assert "labels of the task: neutral, contradiction, entailment" in str(error.value)


def test_a_class_number_out_of_range_is_an_error(mirror):
    mirror("de/test-0.parquet", [pair(0, 3)], labelled())
    with pytest.raises(UserError, match="class number 3 has no name"):
        golds(nli_task(), mirror)


def test_tags_are_mapped_one_by_one(mirror):
    tags = {"tags": {"_type": "Sequence", "feature": {"_type": "ClassLabel", "names": ["O", "B-LOC"]}}}
    mirror("de/test-0.parquet", [{"tokens": ["in", "Rom"], "tags": [0, 1]}], tags)
    task = nli_task(type="tagging", fields={"tokens": "tokens", "tags": "tags"}, labels=["B-LOC", "O"])
    assert golds(task, mirror) == [["O", "B-LOC"]]


def test_errors_of_a_row_say_where_it_stands(mirror):
    mirror("de/test-0.parquet", [pair(0), {**pair(1), "premise": None}])
    with pytest.raises(UserError, match=r"task 'nli', mirror:org/nli/de/test, language de, row 1: field 'text'"):
        golds(nli_task(), mirror)


def test_ids_come_from_the_field_and_must_be_unique(mirror):
    mirror("de/test-0.parquet", [pair(0, id="a"), pair(1, id="b")])
    mirror("fr/test-0.parquet", [pair(0, id="a"), pair(1, id="a")])
    task = nli_task(fields={**nli_task().fields, "id": "id"})
    assert [e.id for e in load_examples(task, split="test", langs=["de"], place=mirror.place).examples] == ["a", "b"]
    with pytest.raises(UserError, match="two examples with the id 'a'"):
        load_examples(task, split="test", langs=["fr"], place=mirror.place)


def test_several_sources_are_joined_with_ids_of_their_own(mirror):
    mirror("de/a-0.parquet", [pair(0)])
    mirror("de/b-0.parquet", [pair(0), pair(1)])
    sources = [{"hub": "org/nli", "config": "{lang}", "split": split} for split in "ab"]
    found = load_examples(nli_task(data={"train": sources}), split="train", langs=["de"], place=mirror.place)
    assert [(e.id, e.text) for e in found.examples] == [("0.0", "p 0"), ("1.0", "p 0"), ("1.1", "p 1")]
    assert found.origin == "mirror:org/nli/de/a, mirror:org/nli/de/b"


def test_a_source_that_cannot_tell_languages_apart_is_refused(mirror):
    mirror("de/test-0.parquet", [pair(0)])
    with pytest.raises(UserError, match="the same rows for each of 2 languages"):
        load_examples(
            nli_task(data={"test": {"hub": "org/nli", "config": "de", "split": "test"}}),
            split="test",
            langs=["de", "fr"],
            place=mirror.place,
        )


def test_samples_are_stable_and_nested():
    ids = [str(number) for number in range(1000)]
    small, large = sample_ids(ids, 50, key="xnli"), sample_ids(ids, 200, key="xnli")
    assert small == sorted(small)
    assert len(small) == 50
    assert set(small) < set(large)
    assert {ids[::-1][position] for position in sample_ids(ids[::-1], 50, key="xnli")} == {ids[position] for position in small}
    assert sample_ids(ids, 50, key="xnli", seed=1) != small != sample_ids(ids, 50, key="panx")
    assert sample_ids(ids, 2000) == list(range(1000))


def test_a_limit_takes_the_same_examples_of_every_language(mirror):
    for lang in ("de", "fr"):
        mirror(f"{lang}/test-0.parquet", [pair(n) for n in range(30)])
    found = load_examples(nli_task(), split="test", langs=["de", "fr"], place=mirror.place, limit=7)
    ids = [e.id for e in found.examples]
    assert (len(ids), ids[:7], found.num_rows) == (14, ids[7:], 60)


def test_a_limit_never_shrinks_a_retrieval_pool(mirror):
    mirror("de/test-0.parquet", [{"s": f"s {n}", "t": f"t {n}"} for n in range(30)])
    task = nli_task(type="retrieval", fields={"source": "s", "target": "t"}, labels=[])
    found = load_examples(task, split="test", langs=["de"], place=mirror.place, limit=7)
    assert (len(found.examples), sum(e.query for e in found.examples)) == (30, 7)


def test_rows_of_a_generated_world():
    task = nli_task(
        data={"test": {"world": "mini", "config": "text", "split": "train"}}, type="masked_lm", fields={"text": "text"}, labels=[]
    )
    found = load_examples(task, split="test", langs=["de", "th"], place=DataPlace(), limit=5)
    assert [e.lang for e in found.examples] == ["de"] * 5 + ["th"] * 5
    assert found.fingerprint == data_fingerprint(task, split="test", langs=["de", "th"], place=DataPlace())


# --- overlap ---------------------------------------------------------------------------------------------------------


def test_text_hashes_ignore_unicode_form_and_white_space_but_not_the_seam():
    assert text_hash(["caf\u00e9  x"]) == text_hash([" cafe\u0301 x\n"])
    assert text_hash(["a", "b c"]) != text_hash(["a b", "c"])
    assert text_hash(["a"]) != text_hash(["A"])


def test_shared_rows_are_found_and_removed_whatever_their_label(mirror):
    mirror("en/train-0.parquet", [pair(n, 1) for n in range(10)])
    mirror("en/test-0.parquet", [pair(8, 0), pair(9, 0), pair(10, 0)])
    task = nli_task(data={split: {"hub": "org/nli", "config": "{lang}", "split": split} for split in ("train", "test")})
    train, test = (load_examples(task, split=split, langs=["en"], place=mirror.place).examples for split in ("train", "test"))
    shared = set(example_hashes(train, task.type)) & set(example_hashes(test, task.type))
    assert len(shared) == 2
    kept, num_removed = without(train, shared, task.type)
    assert ([e.id for e in kept], num_removed) == ([str(n) for n in range(8)], 2)
    assert without(train, (), task.type) == (list(train), 0)
