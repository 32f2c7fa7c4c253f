"""The package evaluate, which task code asks for metrics: allowed or not, installed or not, with the hub in reach or not.

A small package of that name stands in a folder of its own: the real one is not among what this project needs.
"""

import importlib
import json
import sys

import pytest
from test_cli import call

PACKAGE = """
def load(path, *args, **kwargs):
    if path == "share":
        return Share()
    if path == "needs":
        raise ImportError("To be able to use needs, you need to install ['bert_score']")
    if path == "accuracy":
        raise AssertionError("computed without the package")
    raise FileNotFoundError(f"Module '{path}' doesn't exist on the hub either.")


class Share:
    def compute(self, *, predictions, references):
        same = sum(given == wanted for given, wanted in zip(predictions, references))
        return {"share": same / len(references)}
"""
CODE = """
import datasets
import evaluate


def pair(predictions, references, **options):
    return references[0], predictions[0]


def one(name, items):
    golds, answers = zip(*items)
    return evaluate.load(name).compute(predictions=list(answers), references=list(golds))


def share(items):
    return one("share", items)["share"]


def accuracy(items):
    return one("accuracy", [("gold", "gold" if gold == answer else "other") for gold, answer in items])["accuracy"]


def needs(items):
    return one("needs", items)


def nowhere(items):
    return one("nowhere", items)


def older(items):
    golds, answers = zip(*items)
    return datasets.load_metric("share").compute(predictions=list(answers), references=list(golds))["share"]
"""
LOADED = """
try:
    import evaluate

    metric = evaluate.load("nowhere")
except Exception as error:
    raise RuntimeError(f"Error loading metrics: {error}. Please check your installation.")


def share(items):
    return 0.5


def pair(predictions, references, **options):
    return references[0], predictions[0]
"""
TASK = """
task: {name}
dataset_path: json
dataset_kwargs: {{data_files: {{test: rows.jsonl}}}}
test_split: test
output_type: generate_until
doc_to_text: "{{{{q}}}}"
doc_to_target: a
metric_list: [{{metric: !function {code}.pair, aggregation: !function {code}.{function}}}]
"""
NAMES = ("share", "older", "accuracy", "needs", "nowhere")


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "theirs"
    folder.mkdir()
    for name in NAMES:
        (folder / f"{name}_.yaml").write_text(TASK.format(name=f"{name}_", code="code", function=name), encoding="utf-8")
    (folder / "loaded.yaml").write_text(TASK.format(name="loaded", code="loads", function="share"), encoding="utf-8")
    (folder / "code.py").write_text(CODE, encoding="utf-8")
    (folder / "loads.py").write_text(LOADED, encoding="utf-8")
    rows = [{"q": "Say a:", "a": "a"}, {"q": "Say b:", "a": "b"}]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


@pytest.fixture
def package(tmp_path, monkeypatch):
    """The small package, installed for the length of a test."""
    assert importlib.util.find_spec("evaluate") is None, "these tests want an environment without the package"
    folder = tmp_path / "site" / "evaluate"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text(PACKAGE, encoding="utf-8")
    monkeypatch.syspath_prepend(str(folder.parent))
    importlib.invalidate_caches()
    yield
    sys.modules.pop("evaluate", None)


def words(folder, root, task, *more):
    common = ["--include_path", str(folder), "--tasks", task, "--output_path", str(root), "--model", "oracle", "--quiet"]
    return [*common, "--trust_task_code", *more]


ALLOWED = "--trust_evaluate_metrics"


@pytest.mark.parametrize(
    ("task", "message", "todo"),
    [
        (
            "nowhere_",
            "code.py nowhere: the package evaluate cannot load the metric 'nowhere'",
            "put its folder (nowhere/nowhere.py",
        ),
        ("needs_", "code.py needs: the package evaluate cannot load the metric 'needs'", "install what it names beside xlift"),
        (
            "loaded",
            "loads.py: the package evaluate cannot load the metric 'nowhere'",
            "load it once where the hub can be reached",
        ),
    ],
)
def test_a_metric_that_the_package_cannot_load_is_told_before_anything_runs(
    folder, package, tmp_path, capsys, task, message, todo
):
    for first in ((), ("plan",)):
        code, _, err = call(capsys, *first, *words(folder, tmp_path / "runs", task, ALLOWED))
        assert (code, message in err, todo in err) == (2, True, True), err
    assert not (tmp_path / "runs").exists()


def test_metrics_of_the_package_are_used_where_that_is_allowed(folder, package, tmp_path, capsys):
    code, _, err = call(capsys, *words(folder, tmp_path / "runs", "share_,older_", ALLOWED))
    assert code == 0, err
    rows = json.loads((tmp_path / "runs" / "leaderboard.json").read_text(encoding="utf-8"))["rows"]
    assert {row["task"]: row["metrics"]["lm_eval_mean:pair.mean"]["value"] for row in rows} == {
        "lm_eval/share_": 100.0,
        "lm_eval/older_": 100.0,
    }
    code, _, err = call(capsys, "plan", *words(folder, tmp_path / "other", "share_"))
    assert (code, "allow what it downloads" in err, "pip install" in err) == (2, True, False), err


def test_what_is_computed_here_stays_so_where_the_package_is_allowed(folder, package, tmp_path, capsys):
    boards = {}
    for more in ((), (ALLOWED,)):
        code, _, err = call(capsys, *words(folder, tmp_path / f"runs{len(more)}", "accuracy_", *more))
        assert code == 0, err
        (row,) = json.loads((tmp_path / f"runs{len(more)}" / "leaderboard.json").read_text(encoding="utf-8"))["rows"]
        boards[more] = (row["metrics"], row["stages"])
    assert boards[()] == boards[(ALLOWED,)]


def test_a_process_that_refused_a_metric_can_allow_it(folder, package, tmp_path, capsys):
    assert call(capsys, "plan", *words(folder, tmp_path / "runs", "share_"))[0] == 2
    assert call(capsys, "plan", *words(folder, tmp_path / "runs", "share_", ALLOWED))[0] == 0


def test_a_package_that_is_not_installed_is_named(folder, tmp_path, capsys):
    for more, todo in (((), "pip install evaluate, and allow"), ((ALLOWED,), "to do: pip install evaluate\n")):
        code, _, err = call(capsys, "plan", *words(folder, tmp_path / "runs", "loaded", *more))
        assert (code, todo in err, "the metric 'nowhere' of the package evaluate" in err) == (2, True, True), err
