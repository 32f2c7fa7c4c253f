"""Wrong data cost the cells that need them: `run` finishes the others and says so, `validate` and `plan` list what is wrong."""

import json

import pytest
import yaml
from small_tasks import RECIPE, pairs, rows, write
from test_cli import call

WORDS = {"no": "n", "yes": "y"}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Two tasks without training in three languages, of which the German rows of one have a bad label in row 3."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "tasks"
    folder.mkdir()
    for name in ("good", "hurt"):
        write(folder, pairs(name, train=False, langs=("en", "de", "sw")))
        rows(folder, name, "en", "de", "sw")
    write(folder, RECIPE)
    spoil(folder)
    return folder


def spoil(folder):
    path = folder / "hurt-de.jsonl"
    lines = path.read_text().splitlines()
    lines[2] = json.dumps({"a": "x", "label": "jein"})
    path.write_text("\n".join(lines) + "\n")


def words(folder, root, *more):
    common = ["--include_path", str(folder), "--model", "oracle", "--tasks", "good,hurt"]
    return [*common, "--output_path", str(root), "--quiet", *more]


def test_a_bad_row_costs_its_cell_and_the_board_says_where_it_stands(folder, tmp_path, capsys):
    root = tmp_path / "runs"
    code, out, err = call(capsys, *words(folder, root))
    assert code == 1
    assert "hurt-de.jsonl, row 3: 'jein' is no label of task hurt" in err
    assert "10 done now, 0 done before, 1 failed, 1 not run" in err
    board = json.loads((root / "leaderboard.json").read_text())
    assert [(entry["task"], entry["lang"]) for entry in board["missing"]] == [("hurt", "de")]
    assert "hurt-de.jsonl, row 3: 'jein' is no label" in board["missing"][0]["reason"]
    assert "* hurt: mean over 2 of its 3 languages" in out
    assert "hurt-de.jsonl, row 3: 'jein' is no label" in out
    assert "*100.0" in out
    code, _, err = call(capsys, *words(folder, root))
    assert (code, "0 done now, 10 done before, 1 failed, 1 not run" in err) == (1, True)


def test_plan_lists_wrong_rows_and_remembers_right_ones(folder, tmp_path, capsys):
    code, out, err = call(capsys, "plan", *words(folder, tmp_path / "runs"))
    assert code == 2
    assert "6 scores" in out
    assert "hurt-de.jsonl, row 3: 'jein' is no label of task hurt" in err
    assert "wrong rows: 1 (" in err
    assert len(list((tmp_path / "cache").glob("xlift/right_rows/*"))) == 5
    assert call(capsys, "plan", *words(folder, tmp_path / "runs"))[::2] == (code, err)
    rows(folder, "hurt", "de")
    assert call(capsys, "plan", *words(folder, tmp_path / "runs"))[::2] == (0, "")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label_values": {"no": "drop", "yes": "drop"}}, "'good', test, language de: no row is left"),
        ({"where": [{"column": "a", "prefix": "xx"}]}, "none of 4 rows passes the filter"),
        (
            {"fields": {"text": {"template": "{{ a }}{{ b }}"}, "label": "label"}},
            "good-de.jsonl, row 1: the template of field 'text'",
        ),
        ({"prompt": {"context": "{{ 1 // (text | length - 4) }}", "continuations": WORDS}}, "good-de.jsonl, row 1: prompt: the template"),
    ],
)
def test_plan_and_validate_find_what_leaves_nothing_and_what_cannot_be_rendered(folder, tmp_path, capsys, change, message):
    spec = pairs("good", train=False, langs=("en", "de", "sw"))
    spec["data"]["test"] |= {"where": change.pop("where")} if "where" in change else {}
    write(folder, {**spec, **change})
    asked = ["--tasks", "good", *(["--route", "prompt"] if "prompt" in change else [])]
    code, _, err = call(capsys, "plan", *words(folder, tmp_path / "runs"), *asked)
    assert (code, message in err) == (2, True), err
    code, _, err = call(capsys, "validate", str(folder / "good.yaml"))
    assert (code, message in err) == (2, True), err


def test_validate_reads_every_language_of_local_files(folder, capsys):
    (folder / "hurt-sw.jsonl").unlink()
    code, out, err = call(capsys, "validate", str(folder), "--languages", "")
    assert code == 2
    assert "hurt-de.jsonl, row 3: 'jein' is no label of task hurt" in err
    assert "task 'hurt' has no data for language 'sw'" in err
    assert "hurt.yaml:" in err
    assert "3 files checked, 2 errors" in out
    assert "good test sw: 4 rows" in out
    code, out, err = call(capsys, "validate", str(folder), "--languages", "en")
    assert (code, err) == (0, "")


def test_validate_refuses_languages_that_are_none_or_that_no_task_has(folder, capsys):
    code, out, err = call(capsys, "validate", str(folder), "--languages", "en,xx,fr")
    assert code == 2
    assert "unknown language 'xx'" in err
    assert "no task that is checked has the language 'fr'" in err
    assert "2 errors" in out


def test_files_that_are_nowhere_are_a_mistake_of_the_folder_that_is_checked(folder, capsys):
    for lang in ("en", "de", "sw"):
        (folder / f"hurt-{lang}.jsonl").unlink()
    code, out, _ = call(capsys, "validate", str(folder))
    assert (code, out.splitlines()[-1]) == (2, "3 files checked, 3 errors")
    spec = yaml.safe_load((folder / "hurt.yaml").read_text())
    write(folder, {**spec, "obtain": "Ask the authors."})
    code, out, err = call(capsys, "validate", str(folder))
    assert (code, out.splitlines()[-1]) == (0, "3 files checked, 0 errors")
    assert err.count("no rows here") == 3


@pytest.mark.parametrize("text", ["task: x\ndata:\n\ttest: a\n", "task: x\nfields:\n  text: a\n\tb: c\n"])
def test_a_tab_in_yaml_is_said_once_and_in_words(tmp_path, capsys, text):
    (tmp_path / "x.yaml").write_text(text)
    line = text[: text.index("\n\t")].count("\n") + 2
    for asked in (
        ["validate", str(tmp_path)],
        ["plan", "--model", "oracle", "--tasks", "mini/nli", "--include_path", str(tmp_path)],
    ):
        code, _, err = call(capsys, *asked)
        assert code == 2
        assert err.count(f"x.yaml:{line}: a tab stands where YAML wants spaces") == 1
        assert "put spaces in its place" in err
