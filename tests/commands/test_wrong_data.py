"""Wrong data cost the cells that need them: `run` finishes the others and says so, `validate` and `plan` list what is wrong."""

import json

import pytest
import yaml
from printed_pages import unbroken
from small_runs import Project
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
    assert "hurt-de.jsonl, row 3: 'jein' is no label" in unbroken(out)
    assert "*100.0" in out
    page = unbroken(call(capsys, "leaderboard", str(root))[1])
    assert "hurt: mean over 2 of its 3 languages (*)" in page
    assert "hurt-de.jsonl, row 3: 'jein' is no label" in page
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
        (
            {"prompt": {"context": "{{ 1 // (text | length - 4) }}", "continuations": WORDS}},
            "good-de.jsonl, row 1: prompt: the template",
        ),
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


def spoil_rows(folder, name, numbers):
    """Bad labels in these rows of a file, counted from 1."""
    path = folder / name
    lines = path.read_text().splitlines()
    for number in numbers:
        lines[number - 1] = json.dumps({"a": f"bad {number}", "label": "jein"})
    path.write_text("\n".join(lines) + "\n")


def test_all_wrong_rows_are_listed_up_to_five_of_a_file_and_the_others_counted(folder, tmp_path, capsys):
    rows(folder, "hurt", "de")
    more = [json.dumps({"a": f"row {n}", "label": "yes"}) for n in range(20)]
    for lang in ("de", "sw"):
        (folder / f"hurt-{lang}.jsonl").write_text("\n".join(more) + "\n")
    spoil_rows(folder, "hurt-de.jsonl", range(3, 11))
    spoil_rows(folder, "hurt-sw.jsonl", (1, 20))
    for command in (["plan", *words(folder, tmp_path / "runs")], ["validate", str(folder)]):
        code, _, err = call(capsys, *command)
        assert code == 2
        assert [n for n in range(1, 21) if f"hurt-de.jsonl, row {n}: 'jein' is no label" in err] == [3, 4, 5, 6, 7]
        assert "hurt-de.jsonl, row 3: 'jein' is no label of task hurt (the first of 8 wrong rows)" in err
        assert "hurt-de.jsonl: and 3 more wrong rows" in err
        assert [n for n in range(1, 21) if f"hurt-sw.jsonl, row {n}: 'jein' is no label" in err] == [1, 20]
    assert "wrong rows: 10 (" in call(capsys, "plan", *words(folder, tmp_path / "runs"))[2]
    code, out, _ = call(capsys, *words(folder, tmp_path / "runs"))
    assert code == 1
    assert "hurt-de.jsonl, row 3: 'jein' is no label of task hurt (the first of 8 wrong rows)" in out


def test_labels_that_come_from_wrong_training_rows_cost_only_the_tasks_that_need_them(folder, tmp_path, capsys):
    spec = {**pairs("open", langs=("en", "de")), "type": "tagging", "fields": {"tokens": "w", "tags": "t"}, "chance": 0}
    spec.pop("labels")
    write(folder, {**spec, "labels_from": "train", "metrics": ["token_accuracy"]})
    for kind in ("train", "en", "de"):
        lines = [
            json.dumps({"w": ["a", "b"], "t": ["X", "Y"] if (kind, n) not in (("train", 1), ("train", 3)) else ["X"]})
            for n in range(4)
        ]
        (folder / f"open-{kind}.jsonl").write_text("\n".join(lines) + "\n")
    root = tmp_path / "runs"
    asked = ["--tasks", "good,open", "--recipe", "short"]
    code, out, err = call(capsys, *words(folder, root, *asked))
    assert (code, "wrong: task 'open', language en, " in err, "open-train.jsonl, row 2: " in err) == (1, True, True), err
    board = json.loads((root / "leaderboard.json").read_text())
    assert {row["task"] for row in board["rows"]} == {"good"}
    assert {(entry["task"], "open-train.jsonl, row 2" in entry["reason"]) for entry in board["missing"]} == {("open", True)}
    code, out, err = call(capsys, "plan", *words(folder, root, *asked))
    assert code == 2
    assert "2 blocked" in out
    assert err.count("open-train.jsonl, row 2: ") == 1
    code, _, err = call(capsys, "validate", str(folder / "open.yaml"))
    assert (code, "open-train.jsonl, row 4: " in err) == (2, True)


@pytest.mark.parametrize("content", [b"---\nconfigs: [\n---\n", b"---\n\xff\n---\n"])
def test_an_unreadable_readme_of_a_mirror_costs_only_the_tasks_of_its_dataset(folder, tmp_path, capsys, content):
    mirror = tmp_path / "mirror"
    (mirror / "org" / "name").mkdir(parents=True)
    (mirror / "org" / "name" / "README.md").write_bytes(content)
    spec = pairs("hub", train=False, langs=("en", "de"))
    spec["data"] = {"test": {"hub": "org/name", "config": "{lang}", "split": "test"}}
    write(folder, spec)
    root = tmp_path / "runs"
    asked = ["--tasks", "good,hub", "--data_dir", str(mirror)]
    code, _, err = call(capsys, *words(folder, root, *asked))
    assert (code, f"wrong: {mirror}/org/name/README.md:" in err) == (1, True), err
    board = json.loads((root / "leaderboard.json").read_text())
    assert {row["task"] for row in board["rows"]} == {"good"}
    assert {(entry["task"], "README.md:" in entry["reason"]) for entry in board["missing"]} == {("hub", True)}
    code, _, err = call(capsys, "plan", *words(folder, root, *asked))
    assert (code, err.count("org/name/README.md:"), "wrong rows: 1 (" in err) == (2, 1, True)


@pytest.mark.usefixtures("one_thread")
def test_a_wrong_test_row_costs_its_cell_and_not_the_training_that_leaves_it_out(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    project = Project.make(tmp_path / "project", max_steps=2, eval_every=1, tasks="pairs,tags,quiz,nearest")
    train, test = (project.folder / f"pairs-{name}.jsonl" for name in ("train-en", "test-de"))
    lines = test.read_text().splitlines()
    trained = train.read_text().splitlines()
    lines[5] = json.dumps({"a": "x", "b": "y", "label": "jein"})
    lines[7] = trained[3]  # a readable row that training also has
    test.write_text("\n".join(lines) + "\n")
    common = ["--include_path", str(project.folder), "--model", str(project.model), "--recipe", "tiny", "--device", "cpu"]
    root = tmp_path / "runs"
    asked = ["--tasks", "pairs", "--languages", "de,sw", "--remove_overlap", "--output_path", str(root), "--quiet"]
    code, _, err = call(capsys, *common, *asked)
    assert (code, "3 done now, 0 done before, 1 failed, 1 not run" in err) == (1, True), err
    board = json.loads((root / "leaderboard.json").read_text())
    assert [row["lang"] for row in board["rows"]] == ["sw"]
    assert [entry["lang"] for entry in board["missing"]] == ["de"]
    assert "pairs-test-de.jsonl, row 6: 'jein' is no label" in board["missing"][0]["reason"]
    page = unbroken(call(capsys, "leaderboard", str(root))[1])
    assert (
        "Overlap: test rows of pairs in de (1 wrong) could not be read, so that their texts were not kept out of train/" in page
    )
    (stage,) = (stage for name, stage in board["stages"].items() if name.startswith("train/"))
    assert stage["facts"]["unread_tests"] == ["pairs in de (1 wrong)"]
    assert stage["facts"]["removed_overlaps"] == trained.count(trained[3])


def test_validate_takes_the_name_of_a_task_as_show_does(folder, capsys):
    for words_, code_, told in (
        (["good"], 0, "good test de: 4 rows"),
        (["hurt"], 2, "1 files checked, 1 errors"),
        (["short"], 0, "1 files checked, 0 errors"),
    ):
        code, out, _ = call(capsys, "validate", *words_, "--include_path", str(folder))
        assert (code, told in out) == (code_, True), out
    code, _, err = call(capsys, "validate", "god", "--include_path", str(folder))
    assert (code, "god does not exist" in err, "did you mean 'good'?" in err) == (2, True, True)
    assert call(capsys, "validate", "pawsx", "--specs_only")[:2] == (0, "1 files checked, 0 errors\n")
