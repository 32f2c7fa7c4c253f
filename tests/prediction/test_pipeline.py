"""What is done beside the device changes no result: batches made ready ahead, answers written behind, features as numbers."""

import gc
import sys
import threading
import time
import tracemalloc
from functools import partial

import pytest
from listening import listen
from small_runs import Project, differences

from harness.api.protocols import Feature
from harness.prediction import loop
from harness.prediction.batching import plan_batches
from harness.prediction.cell import Cell
from harness.prediction.features import PackedFeatures
from harness.prediction.pipeline import Background, ahead
from harness.runtime.garbage import RARE, rare_collections
from harness.runtime.threads import TURN
from models.decoder import Decoder
from models.encoder import Encoder
from models.loading import pretrained

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return Project.make(tmp_path_factory.mktemp("project"), max_steps=2, tasks="pairs,tags,quiz,nearest")


def test_results_are_the_same_without_threads(project, tmp_path):
    for name, lookahead in (("with", True), ("without", False)):
        found = project.with_machine(batch_tokens=120, lookahead=lookahead).run(tmp_path / name, tasks="pairs,tags,quiz,nearest")
        assert not found.failed
    assert differences(tmp_path / "with", tmp_path / "without") == []


def test_the_thread_that_computes_does_little_else(project, tmp_path, monkeypatch):
    """And others take long turns between its passes only."""
    seen = {}

    def note(name, function):
        def noted(*arguments, **named):
            seen.setdefault(name, set()).add((threading.current_thread().name, round(sys.getswitchinterval(), 6)))
            return function(*arguments, **named)

        return noted

    own = round(sys.getswitchinterval(), 6)
    for place, name in [(loop, "BatchWork"), (pretrained, "split_outputs"), (Encoder, "begin"), (Background, "do")]:
        monkeypatch.setattr(place, name, note(name, getattr(place, name)))
    assert not project.run(tmp_path, tasks="nearest", no_train=True).failed
    here = threading.current_thread().name
    assert (here, own) in seen["do"]
    assert seen["begin"] == {(here, TURN)}
    assert {name for name, _ in seen["BatchWork"]} == {"batches"}
    assert {name for name, _ in seen["split_outputs"]} == {"answers"}


def test_an_error_of_the_model_keeps_what_was_computed_before_it(project, tmp_path, monkeypatch):
    project = project.with_machine(batch_tokens=120)
    project.run(tmp_path / "whole", tasks="nearest", no_train=True)
    batches = []

    def stops(batch, **_):
        batches.append(len(batch.features))
        if len(batches) == 4:
            raise RuntimeError("the machine stops")

    with monkeypatch.context() as patch:
        listen(patch, Encoder, "begin", stops)
        report = project.run(tmp_path / "cut", tasks="nearest", no_train=True)
    assert {message for _, message in report.failed} == {"RuntimeError: the machine stops"}
    journal = "".join(path.read_text() for path in tmp_path.glob("cut/predict/*/vectors-0.done"))
    assert journal.count("\n") == sum(batches[:3])
    rows = [path.stat().st_size for path in tmp_path.glob("cut/predict/*/vectors.f32")]
    assert max(rows) <= 60 * 32 * 4, "a vector is written once, in its place"
    assert not project.run(tmp_path / "cut", tasks="nearest", no_train=True).failed
    assert differences(tmp_path / "whole", tmp_path / "cut") == []


def test_an_error_in_writing_ends_the_work(project, tmp_path, monkeypatch):
    """What cannot be reduced fails its cells, as it does without a thread."""
    from harness.task_types import retrieval

    monkeypatch.setattr(retrieval, "reduce", lambda *_, **__: 1 / 0)
    for lookahead in (True, False):
        report = project.with_machine(lookahead=lookahead).run(tmp_path / str(lookahead), tasks="nearest", no_train=True)
        assert {message for _, message in report.failed} == {"ZeroDivisionError: division by zero"}


def test_batches_are_made_ready_before_they_are_wanted():
    made, third = [], threading.Event()

    def make(number):
        made.append(number)
        if number == 3:
            third.set()
        return -number

    found = ahead(iter(range(1, 7)), make, beside=True, most=2)
    assert next(found) == (1, -1)
    assert third.wait(10), "two more while the first is at hand"
    assert list(found) == [(number, -number) for number in range(2, 7)]
    assert made == list(range(1, 7))
    assert list(ahead(range(3), lambda number: number, beside=False)) == [(0, 0), (1, 1), (2, 2)]


def test_an_error_of_making_comes_where_its_batch_is_at_hand():
    for beside in (True, False):
        found = ahead(range(5), lambda number: 1 // (number - 3), beside=beside)
        assert [next(found)[0] for _ in range(3)] == [0, 1, 2]
        with pytest.raises(ZeroDivisionError):
            next(found)


def do_all(background, *functions):
    with background:
        for function in functions:
            background.do(function)


def do_some(background, done):
    for number in range(4):
        background.do(done.append, number)
    raise KeyError


WORDS = {"tasks": "pairs,tags", "route": "prompt", "languages": ("en", "de")}
"Choices, for which likelihoods are asked, and then tags, which are written: two groups of cells that share no batches."


@pytest.fixture(scope="module")
def in_words(tmp_path_factory):
    return Project.make(tmp_path_factory.mktemp("in_words"), tasks="pairs,tags")


def test_the_model_goes_on_with_other_questions_while_cells_are_finished(in_words, tmp_path, monkeypatch):
    asked, waited, finish_cell = threading.Event(), [], loop.finish_cell

    def finishes(cell):
        if cell.spec.task == "pairs":
            waited.append(asked.wait(60))
        finish_cell(cell)

    with monkeypatch.context() as patch:
        listen(patch, Decoder, "generate", lambda *_, **__: asked.set())
        patch.setattr(loop, "finish_cell", finishes)
        assert not in_words.run(tmp_path / "with", model=str(in_words.decoder), **WORDS).failed
    assert waited == [True, True]
    alone = in_words.with_machine(lookahead=False)
    assert not alone.run(tmp_path / "without", model=str(in_words.decoder), **WORDS).failed
    assert differences(tmp_path / "with", tmp_path / "without") == []


def test_cells_that_are_complete_are_finished_where_other_questions_fail(in_words, tmp_path, monkeypatch):
    def fails(*_, **__):
        raise RuntimeError("the machine stops")

    slow, finish_cell = threading.Event(), loop.finish_cell
    threading.Timer(0.5, slow.set).start()
    with monkeypatch.context() as patch:
        patch.setattr(loop, "finish_cell", lambda cell: (slow.wait(60), finish_cell(cell)))
        listen(patch, Decoder, "generate", fails)
        report = in_words.run(tmp_path, model=str(in_words.decoder), **WORDS)
    failed = {stage.args.task_spec.task for stage, _ in report.failed if stage.verb == "predict"}
    assert failed == {"tags"}
    assert {stage.args.task_spec.task for stage in report.done if stage.verb == "predict"} == {"pairs"}


def test_the_background_does_all_in_order_and_tells_the_first_error():
    for beside in (True, False):
        done = []
        with Background(beside=beside) as background:
            for number in range(100):
                background.do(done.append, number)
        assert done == list(range(100))
        with pytest.raises(ZeroDivisionError):
            do_all(Background(beside=beside), partial(done.append, 100), lambda: 1 // 0, partial(done.append, 101))
        assert done == list(range(101)), "nothing after it"


def test_nothing_is_done_in_the_background_after_an_error():
    """Told to end by code that it runs, too."""
    for error in (ZeroDivisionError, SystemExit):

        def fails(error=error):
            raise error

        for _ in range(20):
            done, begin = [], threading.Event()
            background = Background(beside=True, most=0)
            functions = [begin.wait, fails, *[partial(done.append, number) for number in range(10)], begin.set]
            threading.Timer(0.005, begin.set).start()
            with pytest.raises(error):
                do_all(background, *functions)
            assert done == []


def test_what_may_be_left_is_left_where_the_run_is_told_to_end():
    for error, may_be_left, number in [(KeyboardInterrupt, True, 1), (KeyboardInterrupt, False, 5), (KeyError, True, 5)]:
        done, begun, goes_on = [], threading.Event(), threading.Event()

        def first(begun=begun, goes_on=goes_on, done=done):
            begun.set()
            goes_on.wait(60)
            done.append(0)

        background = Background(beside=True, most=0, may_be_left=may_be_left)
        threading.Timer(0.1, goes_on.set).start()
        with pytest.raises(error), background:
            do_all_and_raise(background, [first, *[partial(done.append, number) for number in range(1, 5)]], begun, error)
        assert done == list(range(number))


def do_all_and_raise(background, functions, begun, error):
    for function in functions:
        background.do(function)
    assert begun.wait(60)
    raise error


def test_what_was_asked_for_is_done_where_an_error_ends_the_work():
    done = []
    background = Background(beside=True)
    with pytest.raises(KeyError), background:
        do_some(background, done)
    assert done == [0, 1, 2, 3]


FEATURES = [
    Feature(example=0, input_ids=[5, 6, 7], labels=1),
    Feature(example=0, part=1, input_ids=[5], type_ids=[0], labels=True, num_truncated=3),
    Feature(example=1, input_ids=[5, 2**30], type_ids=[0, 1], labels=[-100, 4], info={"at": 1, "notes": ["x"]}),
    Feature(example=2, input_ids=[9, 8, 7, 6], labels=(1, 2), info=[0, 3]),
    Feature(example=3, input_ids=[1], continuations=[[3, 4], [5]], generate={"max_new_tokens": 7, "stop": ["\n"]}),
    Feature(example=4, input_ids=[1], labels=1.0),
]


def test_packed_features_are_those_that_were_packed():
    packed = PackedFeatures()
    packed.extend(FEATURES[:2])
    packed.extend([Feature(example=0, input_ids=[5, 2**30], type_ids=[0, 1], labels=[-100, 4], info=FEATURES[2].info)], first=1)
    packed.extend(FEATURES[3:])
    assert [repr(feature) for feature in packed] == [repr(feature) for feature in FEATURES]
    assert packed[2:4] == FEATURES[2:4]
    assert packed[-1] == FEATURES[-1]
    assert packed.lengths() == [3, 1, 2, 4, 1 + 3 + 7, 1]
    assert (packed.most_tokens, packed.largest_id, packed.of_examples(1, 3)) == (4, 2**30, (2, 4))
    bare = packed.bare(2, 4, first=1)
    assert [(one.example, one.input_ids, one.type_ids, one.labels) for one in bare] == [
        (0, [], [0, 1], [-100, 4]),
        (1, [], None, (1, 2)),
    ]


def test_a_feature_takes_little_memory():
    tracemalloc.start()
    packed = PackedFeatures()
    for number in range(50_000):
        packed.extend([Feature(example=0, input_ids=list(range(1000, 1020)), labels=number % 3)], first=number)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held / len(packed) < 150, "20 tokens are 80 bytes"


def test_padded_tokens_of_a_plan():
    """A guard that no clock disturbs: what the device computes of fixed lengths, padding included."""
    lengths = [7 + (number * number) % 61 for number in range(500)]
    plan = plan_batches(lengths, max_tokens=512)
    assert sum(len(batch) * max(lengths[i] for i in batch) for batch in plan) == 18_861
    assert sum(lengths) == 18_402


def test_examples_are_given_up_when_their_cell_is_done(project, tmp_path, monkeypatch):
    released = []
    monkeypatch.setattr(Cell, "release", lambda self: released.append(self.stage.name))
    project.run(tmp_path, tasks="nearest", no_train=True)
    assert len(released) == 2


def test_scores_are_made_while_other_cells_are_computed(project, tmp_path, monkeypatch):
    """Requests in words are asked language by language: the first is scored before the last of the second is asked."""
    scored = []
    listen(
        monkeypatch, Decoder, "begin_loglikelihood", lambda *_, **__: scored.append(len(list(tmp_path.glob("score/*/done.json"))))
    )
    words = {"model": str(project.decoder), "route": "prompt", "languages": ("de", "sw")}
    report = project.with_machine(batch_tokens=120, lookahead=False).run(tmp_path, tasks="pairs", **words)
    assert (scored[0], scored[-1]) == (0, 1)
    assert sorted(stage.verb for stage in report.done) == ["predict", "predict", "score", "score"]
    assert not report.reused


def test_garbage_is_searched_as_before_when_rows_are_done(project, tmp_path):
    before = gc.get_threshold()
    with rare_collections(), rare_collections():
        assert gc.get_threshold() == RARE
    project.run(tmp_path, tasks="nearest", no_train=True)
    assert gc.get_threshold() == before


def test_who_settles_waits_for_what_was_asked_and_hears_of_no_error():
    for beside in (True, False):
        done = []
        with Background(beside=beside, most=0) as background:
            for number in range(5):
                background.do(slowly, done, number)
            background.settle()
            assert done == list(range(5))
    done = []
    with pytest.raises(ZeroDivisionError):
        do_and_settle(
            Background(beside=True, most=0), lambda: 1 // 0, partial(done.append, 5), then=partial(done.append, "settled")
        )
    assert done == ["settled"]


def slowly(done, number):
    time.sleep(0.01)
    done.append(number)


def do_and_settle(background, *functions, then):
    with background:
        for function in functions:
            background.do(function)
        background.settle()
        then()
