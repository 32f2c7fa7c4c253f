"""lm-eval's files whose first metric a function averages: computed where the function is known, else said on every board."""

import json

import pytest
from printed_pages import unbroken
from test_cli import call

from harness.planning.catalog.lm_eval_files.known_aggregations import known_aggregation

SKLEARN = """
from sklearn.metrics import f1_score

def {name}(items):
    '''What it is.'''
    unzipped_list = list(zip(*items{strict}))
    golds = unzipped_list[0]
    preds = unzipped_list[1]
    fscore = f1_score(golds, preds, average="{average}")
    return fscore
"""
OWN = "from lm_eval.utils import weighted_f1_score\n\ndef own(items):\n    return 0.0\n"
TASK = """
task: {name}
dataset_path: json
dataset_kwargs: {{data_files: {{test: {lang}.jsonl}}}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{q}}}}?"
doc_to_target: a
doc_to_choice: {choices}
metric_list:
  - metric: {metric}
  - metric: acc
"""
WEIGHTED, UNKNOWN = "f1\n    aggregation: !function utils.weighted_f1_score", "f1\n    aggregation: median"


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "theirs"
    folder.mkdir()
    (folder / "utils.py").write_text(OWN)
    for lang in ("de", "sw"):
        (folder / f"{lang}.jsonl").write_text("".join(json.dumps({"q": f"q {n}", "a": n % 2}) + "\n" for n in range(9)))
        for stem, metric in (("good", WEIGHTED), ("odd", UNKNOWN), ("corr", "mcc")):
            name = f"{stem}_{lang}"
            choices = '["a", "b"]' if stem == "corr" else '["a", "b", "c"]'
            (folder / f"{name}.yaml").write_text(TASK.format(name=name, lang=lang, metric=metric, choices=choices))
    (folder / "odd.yaml").write_text("group: odd\ntask: [odd_de, odd_sw]\n")
    return folder


def words(folder, root, tasks, *more):
    common = ["--include_path", str(folder), "--data_dir", str(folder), "--model", "random", "--tasks", tasks]
    return [*common, "--output_path", str(root), "--quiet", *more]


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        (OWN, "weighted_f1_score", "weighted_f1"),
        ("from lm_eval.utils import weighted_f1_score as f\n", "f", "weighted_f1"),
        (SKLEARN.format(name="f", strict="", average="weighted"), "f", "weighted_f1"),
        (SKLEARN.format(name="f", strict=", strict=True", average="micro"), "f", "micro_f1"),
        (SKLEARN.format(name="f", strict="", average="macro"), "f", None),
        (SKLEARN.format(name="f", strict="", average="weighted").replace("preds = unzipped_list[1]", "preds = golds"), "f", None),
        (SKLEARN.format(name="f", strict="", average="weighted").replace("sklearn", "mine"), "f", None),
        (SKLEARN.format(name="f", strict="", average="weighted") + "f1_score = max\n", "f", None),
        ("from mine import weighted_f1_score\n", "weighted_f1_score", None),
        ("from .lm_eval.utils import weighted_f1_score\n", "weighted_f1_score", None),
        (OWN + "weighted_f1_score = max\n", "weighted_f1_score", None),
        (OWN + "if True:\n    def weighted_f1_score(items):\n        return 1\n", "weighted_f1_score", None),
        (OWN, "own", None),
        ("not python (", "own", None),
    ],
)
def test_a_function_is_known_by_what_its_file_says(tmp_path, text, name, expected):
    (tmp_path / "utils.py").write_text(text)
    assert known_aggregation(f"utils.{name}", tmp_path) == expected
    assert known_aggregation(f"elsewhere.{name}", tmp_path) is None


def test_weighted_f1_and_mcc_are_computed_without_running_any_code(folder, tmp_path, capsys):
    root = tmp_path / "runs"
    code, out, err = call(capsys, *words(folder, root, "good_de,corr_de"))
    assert (code, "is not computed here" in out + err) == (0, False)
    board = json.loads((root / "leaderboard.json").read_text())
    for entry in board["task_scores"]:
        (path,) = root.glob(f"predict/*{entry['task'][-7:]}*/predictions.jsonl")
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        first = "mcc" if "corr" in entry["task"] else "f1"
        pairs = [line["prediction"]["values"][first] for line in lines]
        assert len(pairs) == 9
        assert entry["score"]["value"] == pytest.approx({"f1": weighted, "mcc": correlation}[first](pairs))
        assert (entry["stands_in_for"], "lm_eval_mean:acc.mean" in entry["metrics"]) == ("", True)
        assert entry["chance"] == pytest.approx({"f1": 100 / 3, "mcc": 0}[first])


def weighted(pairs):
    """By the definition of sklearn's documentation."""
    golds = [gold for gold, _ in pairs]
    total = 0.0
    for label in set(golds):
        right = sum(gold == given == label for gold, given in pairs)
        precision = right / max(1, sum(given == label for _, given in pairs))
        recall = right / golds.count(label)
        total += golds.count(label) * (2 * precision * recall / (precision + recall) if right else 0.0)
    return 100 * total / len(golds)


def correlation(pairs):
    """Pearson's correlation of two columns of 0 and 1."""
    n = len(pairs)
    a, b = (sum(column) / n for column in zip(*pairs, strict=True))
    both = sum((x - a) * (y - b) for x, y in pairs)
    spread = sum((x - a) ** 2 for x, _ in pairs) * sum((y - b) ** 2 for _, y in pairs)
    return 100 * both / spread**0.5 if spread else 0.0


def test_a_metric_that_stands_in_for_the_first_is_marked_on_every_board(folder, tmp_path, capsys):
    root = tmp_path / "runs"
    asked = "f1 (its aggregation is median)"
    said = f"the first metric of the file, {asked}, is not computed here; lm_eval_mean:acc.mean stands in its place"
    code, out, err = call(capsys, *words(folder, root, "odd_de,good_de"))
    assert code == 0
    assert f"note: lm_eval/odd_de: {said}" in err
    assert "¶ not the metric that the task's file names first" in unbroken(out)
    assert [line.count("¶") for line in out.splitlines() if line.startswith("| lm_eval/odd_de ")] == [1]
    out = call(capsys, "leaderboard", str(root))[1]
    assert f"- ¶ lm_eval/odd_de: {said}." in unbroken(out)
    assert "¶ not the metric that the task's file names first" in unbroken(out)
    line = next(line for line in out.splitlines() if line.startswith("| random"))
    assert line.count("¶") == 1
    assert "### ¶lm_eval/odd_de: random" in out
    board = json.loads((root / "leaderboard.json").read_text())
    assert {entry["task"]: entry["stands_in_for"] for entry in board["task_scores"]} == {
        "lm_eval/odd_de": asked,
        "lm_eval/good_de": "",
    }
    assert board["tasks"]["lm_eval/odd_de"]["stands_in_for"] == asked
    other = tmp_path / "other"
    call(capsys, *words(folder, other, "odd_de,good_de", "--model", "constant"))
    code, out, _ = call(capsys, "compare", str(root), str(other), "--output", str(tmp_path / "compared.json"))
    assert code == 0
    assert f"¶ lm_eval/odd_de: {said.replace('the file', 'its file')}." in unbroken(out)
    marked = {line.split("|")[1] for line in out.splitlines() if line.startswith("| ") and "¶" in line}
    assert len(marked) == 2  # the task, and the mean of both
    compared = json.loads((tmp_path / "compared.json").read_text())
    assert {name: task["stands_in_for"] for name, task in compared["tasks"].items()} == {
        "lm_eval/odd_de": asked,
        "lm_eval/good_de": "",
    }


def test_languages_choose_among_the_tasks_of_a_group(folder, tmp_path, capsys):
    root = tmp_path / "runs"
    code, out, err = call(capsys, *words(folder, root, "odd", "--languages", "de"))
    assert code == 0
    assert "note: odd: left out are those of its tasks that have none of the languages de: lm_eval/odd_sw" in err
    assert "1 scores" in err
    assert "lm_eval/odd_de" in out
    code, _, err = call(capsys, "plan", *words(folder, root, "*_sw", "--languages", "sw"))
    assert (code, "left out" in err) == (0, False), err
    code, _, err = call(capsys, "plan", *words(folder, root, "odd", "--languages", "fr"))
    assert code == 2
    assert "no task of 'odd' has any of these languages\n  expected: some of de, sw\n  found: fr" in err
    code, _, err = call(capsys, "plan", *words(folder, root, "odd_sw", "--languages", "de"))
    assert (code, "task 'lm_eval/odd_sw' has none of these languages" in err) == (2, True)
