"""Where the files of a split lie: the dataset's README rules, then the hub's layouts; what is missing is named."""

import pytest
from small_mirrors import NliMirror, pair, source

from harness.api.errors import MissingData, UserError
from harness.data.locations import DataPlace
from harness.data.rows import load_rows
from harness.specs.task import Source


@pytest.fixture
def mirror(tmp_path):
    return NliMirror(tmp_path / "mirror")


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
