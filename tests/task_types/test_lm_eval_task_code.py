"""Python beside an lm-eval task finds what it imports while it runs, and nothing of that is left afterwards."""

import multiprocessing
import subprocess
import sys
from threading import Event, Thread

import datasets
import pytest
from small_lm_eval_parts import write

from harness.api.errors import UserError
from harness.api.registry import ROOT
from harness.specs.lm_eval import Function
from harness.task_types.lm_eval_harness.evaluate_metrics import MissingPackage
from harness.task_types.lm_eval_harness.import_shims import stand_ins
from harness.task_types.lm_eval_harness.package_parts import compute_exact, compute_f1, general_detokenize, weighted_f1_score
from harness.task_types.lm_eval_harness.task_code import TaskCode


def test_what_task_code_imports_is_there_while_it_runs_and_gone_afterwards(tmp_path):
    folder = tmp_path / "lm_eval" / "tasks" / "one"
    folder.mkdir(parents=True)
    write(folder, other__py="WORD = 'from a file beside'\n")
    write(
        folder,
        code__py="""import evaluate
import transformers.data.metrics.squad_metrics as squad_metrics
from lm_eval.tasks.one.other import WORD
from lm_eval.utils import general_detokenize


def f(text):
    from lm_eval.utils import weighted_f1_score

    return general_detokenize(text), squad_metrics.compute_f1("x b", "the b"), WORD, weighted_f1_score([(0, 0), (1, 0)])


def g():
    return evaluate.load("x")


def h():
    raise ValueError("inside")
""",
    )
    # In a process of its own: what is imported here must not be what the code finds.
    lines = f"""
import sys
from pathlib import Path
from harness.api.errors import UserError
from harness.task_types.lm_eval_harness.task_code import TaskCode
from harness.specs.lm_eval import Function
code = TaskCode(folder=Path({str(folder)!r}), trusted=True, task="t")
print(code.function(Function(function="code.f"))('a ( b ) does n\\'t .'))
for name in ("g", "h", "nothing"):
    try:
        code.function(Function(function="code." + name))()
    except UserError as error:
        print(str(error).replace("\\n", " "))
stand_ins = [name for name, module in sys.modules.items() if "data.metrics" in name and module.__doc__ == "A stand-in."]
print([name for name in sys.modules if name.split(".")[0] in ("lm_eval", "evaluate")] + stand_ins)
"""
    found = subprocess.run([sys.executable, "-c", lines], capture_output=True, text=True, check=True, cwd=ROOT)
    first, unusable, raised, absent, left = found.stdout.splitlines()
    assert first == str(("a (b) doesn't.", 2 / 3, "from a file beside", 1 / 3))
    assert "task code takes the metric 'x' of the package evaluate" in unusable
    assert "--trust_evaluate_metrics" in unusable
    assert "code.py h: the code of task 't' failed" in raised
    assert "ValueError: inside" in raised
    assert "has no 'nothing'" in absent
    assert left == "[]"


def test_stand_ins_compute_what_they_stand_for():
    assert general_detokenize('he said " yes " , is n\'t it ( no ) .') == 'he said"yes", isn\'t it (no).'
    assert (compute_f1("", ""), compute_f1("a the", "x"), compute_f1("the cat sat", "cat sat down")) == (1.0, 0.0, 0.8)
    assert (compute_exact("The cat.", "cat"), compute_exact("a", "b")) == (1, 0)
    # F1 of 2/3, 1/2 and 4/5 for labels that are gold 2, 1 and 3 times.
    assert weighted_f1_score([(0, 0), (0, 1), (1, 1), (2, 1), (2, 2), (2, 2)]) == pytest.approx((4 / 3 + 1 / 2 + 12 / 5) / 6)


def test_threads_do_not_take_the_stand_ins_from_each_other():
    entered, left, told = Event(), Event(), []

    def second():
        with stand_ins(None):
            entered.set()
            left.wait(5)  # where both could be inside, the first one would leave before this one
            told.append([sys.modules["evaluate"].__doc__, hasattr(datasets, "load_metric")])

    with stand_ins(None):  # which finds out what is installed
        pass
    before = set(sys.modules)
    thread = Thread(target=second)
    with stand_ins(None):
        thread.start()
        entered.wait(0.3)
        with stand_ins(None):
            assert sys.modules["evaluate"].__doc__ == "A stand-in."
        assert sys.modules["evaluate"].__doc__ == "A stand-in."
    left.set()
    thread.join(10)
    assert told == [["A stand-in.", True]]
    assert set(sys.modules) == before
    assert not hasattr(datasets, "load_metric")


def test_a_process_that_is_forked_while_another_thread_runs_task_code_runs_its_own():
    inside, done = Event(), Event()

    def first():
        with stand_ins(None):
            inside.set()
            done.wait(20)

    thread = Thread(target=first)
    thread.start()
    inside.wait(10)
    process = multiprocessing.get_context("fork").Process(target=_enter)
    process.start()
    process.join(10)
    code = process.exitcode
    process.kill()
    done.set()
    thread.join(10)
    assert code == 0


def _enter():
    with stand_ins(None):
        pass


LACKING = """import evaluate

try:
    metric = evaluate.load("nowhere")
except Exception as error:
    {handled}


def f():
    return 1
"""


@pytest.mark.parametrize(
    ("handled", "told"),
    [
        ("raise RuntimeError(f'no metrics: {error}')", "takes the metric 'nowhere' of the package evaluate"),
        ("raise RuntimeError('no metrics') from error", "takes the metric 'nowhere' of the package evaluate"),
        ("metric = {}['share']", "found: KeyError: 'share' (after: task code takes the metric 'nowhere'"),
        ("raise RuntimeError('no metrics')", "found: RuntimeError: no metrics (after: task code takes the metric 'nowhere'"),
        ("raise RuntimeError('no metrics') from None", "found: RuntimeError: no metrics"),
    ],
)
def test_what_task_code_fails_of_is_told_and_not_what_it_caught_before(tmp_path, handled, told):
    write(tmp_path, code__py=LACKING.replace("{handled}", handled))
    code = TaskCode(folder=tmp_path, trusted=True, task="t")
    with pytest.raises(UserError) as error:
        code.function(Function(function="code.f"))
    assert told in str(error.value)
    assert isinstance(error.value, MissingPackage) is told.startswith("takes")
    assert ("nowhere" in str(error.value)) is ("nowhere" in told)
