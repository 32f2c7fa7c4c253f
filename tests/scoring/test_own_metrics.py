"""Metrics of the user's own: read without being run, hashed with what they import, checked in what they give."""

import pickle
import subprocess
import sys

import numpy as np
import pytest
from own_files import METRIC, forget_own, write_own

from harness.api.errors import UserError
from harness.api.registry import METRICS, ROOT
from harness.data.locations import DataPlace
from harness.runtime.machine import Machine
from harness.scoring.own_metric_code import wrong_cases
from harness.scoring.own_metrics import facts_of, keys_of, metrics_in, own_signatures
from harness.scoring.score import score_cell

LINES = [
    {"id": str(n), "prediction": "ab", "gold": gold, "num_truncated": 0, "notes": []} for n, gold in enumerate(("cd", "c", "ef"))
]


@pytest.fixture(autouse=True)
def _clean():
    forget_own()
    yield
    forget_own()


def put(folder, *, trusted=True, **files):
    """The metrics of a folder, in this process; raises the first mistake."""
    write_own(folder)
    for name, text in files.items():
        (folder / "metrics" / f"{name}.py").write_text(text, encoding="utf-8")
    modules, errors = metrics_in([folder], trusted=trusted)
    for error in errors:
        raise error
    METRICS.put_own(modules)
    return {own.name: own for own in modules}


def test_a_metric_of_ones_own_scores_as_a_shipped_one_does(tmp_path):
    own = put(tmp_path)["length_match"]
    cell = score_cell(LINES, metrics=["length_match", "accuracy"], score=[], lang="de", num_expected=3)
    assert cell.score.value == pytest.approx(200 / 3)
    assert cell.metrics["length_match.same_length"].signature == f"length_match|letters|1|own code {own.code}"
    assert wrong_cases("length_match") == []


def test_what_a_metric_says_of_itself_is_read_without_running_it(tmp_path):
    own = put(tmp_path, trusted=False, length_match=f"raise SystemExit(7)\n{METRIC}")["length_match"]
    assert keys_of("length_match") == ("same_length",)
    assert facts_of("length_match").signature == f"length_match|letters|1|own code {own.code}"
    assert facts_of("accuracy").keys == ("accuracy",)
    assert "length_match" in METRICS.names()
    with pytest.raises(UserError, match=r"(?s)Python code of the user's own.*length_match.py.*--trust_metric_code"):
        METRICS.load("length_match")


def test_the_hash_is_over_the_file_and_what_it_imports_beside_it(tmp_path):
    before = put(tmp_path)["length_match"].code
    assert put(tmp_path, unrelated_helper='KEYS = ("x",)\nSIGNATURE = "s"\n')["length_match"].code == before
    assert put(tmp_path, _letters="def letters(text):\n    return 1\n")["length_match"].code != before
    assert put(tmp_path / "other")["length_match"].code == before  # where it lies does not matter


def test_code_that_changed_since_the_command_began_does_not_run(tmp_path):
    put(tmp_path)
    (tmp_path / "metrics/_letters.py").write_text("def letters(text):\n    return 1\n", encoding="utf-8")
    with pytest.raises(UserError, match="has changed since this command began"):
        METRICS.load("length_match")


def test_two_folders_may_each_have_a_helper_of_the_same_name(tmp_path):
    write_own(tmp_path / "a")
    write_own(tmp_path / "b")
    (tmp_path / "b/metrics/length_match.py").rename(tmp_path / "b/metrics/no_match.py")
    (tmp_path / "b/metrics/_letters.py").write_text("def letters(text):\n    return 1\n", encoding="utf-8")
    modules, errors = metrics_in([tmp_path / "a", tmp_path / "b"], trusted=True)
    METRICS.put_own(modules)
    assert errors == []
    assert METRICS.load("length_match").stats("a", "bb", lang="de") == (0.0, 1.0)
    assert METRICS.load("no_match").stats("a", "bb", lang="de") == (1.0, 1.0)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("accuracy", METRIC, "there is a metric 'accuracy' already"),
        ("my-metric", METRIC, "'my-metric' cannot be the name of a metric"),
        ("broken", "def stats(:\n", "not valid Python"),
        ("keyless", "SIGNATURE = 'x'\n", "the metric has no KEYS"),
        ("computed", "KEYS = tuple('a')\nSIGNATURE = 'x'\n", "KEYS is no literal"),
        ("wrong_keys", "KEYS = 'f1'\nSIGNATURE = 'x'\n", "KEYS names the numbers of a metric"),
        ("unsigned", "KEYS = ('a',)\nSIGNATURE = 3\n", "a metric has a SIGNATURE"),
    ],
)
def test_a_mistake_is_told_before_anything_runs(tmp_path, name, text, said):
    with pytest.raises(UserError, match=said):
        put(tmp_path, **{name: text})


def test_a_name_that_two_folders_have_is_a_mistake(tmp_path):
    _, errors = metrics_in([write_own(tmp_path / "a"), write_own(tmp_path / "b")], trusted=True)
    assert [error.message for error in errors] == ["metric 'length_match' exists twice"]
    assert metrics_in([tmp_path / "a", tmp_path / "a"], trusted=True)[1] == []


HEAD = 'KEYS = ("a",)\nSIGNATURE = "bad|1"\n'
STATS = "def stats(prediction, gold, *, lang):\n    return {}\n"
COMBINE = "def combine(totals):\n    return {}\n"
GOOD_STATS, GOOD_COMBINE = STATS.format("(1.0, 1.0)"), COMBINE.format('{"a": totals[..., 0]}')


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (GOOD_STATS, "the metric has no function combine"),
        ("1 / 0\n", "the code of metric 'bad' cannot be loaded"),
        ("import no_such_package\n", "ModuleNotFoundError"),
        (STATS.format("1 / 0") + GOOD_COMBINE, "failed"),
        (STATS.format("float('nan'), 1") + GOOD_COMBINE, "a sequence of finite numbers"),
        (STATS.format("'high'") + GOOD_COMBINE, "failed"),
        (STATS.format("[1.0] * len(gold)") + GOOD_COMBINE, "2 numbers, as for the example before"),
        (GOOD_STATS + COMBINE.format('{"b": 1.0}'), "a mapping with the keys a"),
        (GOOD_STATS + COMBINE.format('{"a": 50.0}'), "finite numbers of the shape"),
        (GOOD_STATS + COMBINE.format('{"a": totals[..., 0] * float("inf")}'), "finite numbers of the shape"),
        (GOOD_STATS + GOOD_COMBINE + "def prepare(predictions, golds, *, lang):\n    return 3\n", "a mapping"),
    ],
)
def test_code_that_fails_or_gives_what_it_should_not_is_told_with_its_file(tmp_path, text, said):
    put(tmp_path, bad=HEAD + text)
    with pytest.raises(UserError) as found:
        score_cell(LINES, metrics=["bad"], score=[], lang="de", num_expected=3)
    assert said in str(found.value)
    assert "bad.py" in str(found.value)


def test_cases_that_do_not_hold_and_what_is_no_case_are_mistakes(tmp_path):
    wrong = '({"predictions": ["a"], "golds": ["a"], "lang": "de", "scores": {"a": 7.0, "c": 1}}, {"lang": "de"})'
    put(tmp_path, bad=f"{HEAD}{GOOD_STATS}{GOOD_COMBINE}GOLDEN = {wrong}\n")
    assert [error.message for error in wrong_cases("bad")] == ["this case does not hold", "not a case"]
    assert "'a': 1.0" in wrong_cases("bad")[0].found


def test_another_process_finds_them_in_what_it_knows_of_the_machine(tmp_path):
    modules = put(tmp_path)
    machine = Machine(place=DataPlace(offline=True), own_metrics=tuple(modules.values()))
    (tmp_path / "machine").write_bytes(pickle.dumps(machine))
    code = (
        "import pickle, sys; from harness.api.registry import METRICS; machine = pickle.load(open(sys.argv[1], 'rb'));"
        "print('length_match' in METRICS.names()); machine.metrics_at_hand(); print(METRICS.load('length_match').SIGNATURE)"
    )
    words = [sys.executable, "-c", code, str(tmp_path / "machine")]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["False", own_signatures(["length_match", "accuracy"])["length_match"]]


def test_what_combine_gives_is_for_every_bootstrap_sample(tmp_path):
    put(tmp_path)
    totals = np.array([[1.0, 2.0], [2.0, 2.0], [0.0, 2.0]])
    assert METRICS.load("length_match").combine(totals)["same_length"].tolist() == [50.0, 100.0, 0.0]
