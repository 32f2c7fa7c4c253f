"""Rows become features ahead of the model, in portions whose ends depend on their lengths alone."""

import contextlib
import re
import threading
import time
from types import SimpleNamespace

import pytest
import torch
from listening import listen
from small_runs import Project, differences

from harness.api import progress
from harness.api.abandoning import Abandoned, abandoned_when, check_wanted
from harness.api.progress import progress_bar
from harness.prediction import cell as cell_module
from harness.prediction import encoding as encoding_module
from harness.prediction.bundles import BatchSizes
from harness.prediction.cell import Cell
from harness.prediction.encoding import Encoding, QuestionGroup, portions
from harness.prediction.failures import CellFailure
from models.encoder import Encoder

pytestmark = pytest.mark.usefixtures("one_thread")


SIZES = BatchSizes(10, first=1)


class FakeCell:
    """A cell with so many tokens, or one that cannot be encoded."""

    def __init__(self, name, tokens, *, task="t", shots=None, fails=False):
        self.stage, self.folder = SimpleNamespace(key=name, name=name), SimpleNamespace(parent=SimpleNamespace(parent="."))
        self.args = SimpleNamespace(task=task, shots=shots)
        self.lengths, self.fails, self.encoded = [tokens], fails, []

    def measure(self):
        if self.fails:
            raise ValueError(self.stage.name)
        return self.lengths

    def encode(self):
        self.encoded.append(threading.current_thread().name)

    def read_ahead(self):
        pass


@pytest.fixture
def messages(monkeypatch):
    monkeypatch.setattr(encoding_module, "failure_of", lambda error, **_: CellFailure(str(error), ""))


def split(cells, *, size, beside=False):
    """The names of the cells of each portion, and of those lost."""
    with progress_bar("x", total=0, unit="token", shown=False) as bar:
        group = QuestionGroup(cells, SIZES)
        with Encoding([group], keys={cell.stage.key for cell in cells}, beside=beside, bar=bar) as encoding:
            found = list(portions(group, encoding, size=size))
            encoding.show()
        assert bar.total == sum(sum(cell.lengths) for cell in cells if not cell.fails)
    return ["".join([cell.stage.name for cell in portion.cells] + ["-" + name for name in portion.lost]) for portion in found]


@pytest.mark.parametrize("beside", [True, False])
def test_portions_grow_and_end_with_a_cell(messages, beside):
    alike = [FakeCell(name, 10) for name in "abcdefghijklmnop"]
    assert split(alike, size=10, beside=beside) == ["a", "bc", "defg", "hijklmno", "p"]
    assert split(alike, size=15, beside=beside) == ["ab", "cde", "fghijk", "lmnop"]
    assert split(alike, size=None, beside=beside) == ["abcdefghijklmnop"]
    assert split([FakeCell("a", 1000), FakeCell("b", 1), FakeCell("c", 30)], size=10, beside=beside) == ["a", "bc"]
    assert split([FakeCell("a", 0), FakeCell("b", 0)], size=10, beside=beside) == ["ab"]
    many = [FakeCell(chr(200 + number), 10) for number in range(200)]
    assert list(map(len, split(many, size=10, beside=beside))) == [1, 2, 4, 8, 16, 32, 32, 32, 32, 32, 9]


@pytest.mark.parametrize("beside", [True, False])
def test_what_cannot_be_encoded_ends_no_portion(messages, beside):
    cells = [FakeCell(name, 10, fails=name in "bcg") for name in "abcdefg"]
    assert split(cells, size=10, beside=beside) == ["a", "de-b-c", "f-g"]
    assert split([FakeCell("a", 10, fails=True)], size=10, beside=beside) == ["-a"]


def test_cells_that_ask_in_turns_are_not_parted(messages):
    cells = [FakeCell(name, 10, task="t" if name < "d" else "u", shots={"n": 1}) for name in "abcdef"]
    assert split(cells, size=10) == ["abc", "def"]
    assert split([FakeCell(name, 10) for name in "abcdef"], size=10) == ["a", "bc", "def"]


def test_a_portion_is_there_before_later_cells_are(messages):
    there = threading.Event()
    cells = [FakeCell(name, 10) for name in "abc"]
    cells[1].measure = lambda: there.wait(60)
    with progress_bar("x", total=0, unit="token", shown=False) as bar:
        group = QuestionGroup(cells, SIZES)
        with Encoding([group], keys={"a", "b"}, beside=True, bar=bar) as encoding:
            found = portions(group, encoding, size=10)
            assert [cell.stage.name for cell in next(found).cells] == ["a"]
            there.set()
            assert [[cell.stage.name for cell in portion.cells] for portion in found] == [["b", "c"]]
    assert [cell.encoded for cell in cells] == [["encoding"], ["encoding"], []], "of a finished cell lengths are enough"


def test_rows_are_read_ahead_once_all_tokens_are_there(messages, monkeypatch):
    """Of the cells to predict that can be encoded."""
    read, done = [], threading.Event()

    def read_ahead(cell):
        read.append(cell.stage.name)
        if cell.stage.name == "d":
            done.set()

    monkeypatch.setattr(FakeCell, "read_ahead", read_ahead)
    cells = [FakeCell(name, 10, fails=name == "b") for name in "abcd"]
    bar, groups = progress_bar("x", total=0, unit="token", shown=False), [QuestionGroup(cells, SIZES)]
    with Encoding(groups, keys={"a", "b", "d"}, beside=True, bar=bar):
        assert done.wait(60)
    assert read == ["a", "d"]
    monkeypatch.setattr(encoding_module, "rank", lambda: 1)
    with Encoding(groups, keys={"a", "b", "d"}, beside=True, bar=bar) as encoding:
        encoding._thread.join(60)
    assert read == ["a", "d"], "the first process makes predictions"


def test_nobody_waits_for_a_cell_who_is_not_wanted_any_more(messages):
    there, closed = threading.Event(), threading.Event()
    cell = FakeCell("a", 10)
    cell.measure = lambda: there.wait(60)
    with progress_bar("x", total=0, unit="token", shown=False) as bar:
        group = QuestionGroup([cell], SIZES)
        with Encoding([group], keys={"a"}, beside=True, bar=bar) as encoding:
            threading.Timer(0.1, closed.set).start()
            with abandoned_when(closed.is_set), pytest.raises(Abandoned):
                encoding.take(cell)
            there.set()


def test_cells_that_nobody_asks_for_are_given_up(messages):
    begun, goes_on = threading.Event(), threading.Event()
    cells = [FakeCell("a", 10, fails=True), FakeCell("b", 10), FakeCell("c", 10)]

    def measure():
        begun.set()
        goes_on.wait(60)

    cells[1].measure = measure
    bar = progress_bar("x", total=0, unit="token", shown=False)
    with Encoding([QuestionGroup(cells, SIZES)], keys={"a", "b", "c"}, beside=True, bar=bar) as encoding:
        assert begun.wait(60)
        assert [encoding.give_up(cell) for cell in cells] == [CellFailure("a", ""), None, None]
        goes_on.set()
    assert cells[2].encoded == []


def interrupt_after(begun):
    begun.wait(60)
    raise KeyboardInterrupt


def test_a_run_that_is_told_to_end_does_not_wait_for_a_package_that_reads(messages, monkeypatch):
    monkeypatch.setattr(encoding_module, "PATIENCE", 0.1)
    begun, goes_on = threading.Event(), threading.Event()
    cells = [FakeCell("a", 10), FakeCell("b", 10)]

    def measure():
        begun.set()
        goes_on.wait(60)

    cells[0].measure = measure
    bar, started = progress_bar("x", total=0, unit="token", shown=False), time.monotonic()
    encoding = Encoding([QuestionGroup(cells, SIZES)], keys={"a"}, beside=True, bar=bar)
    with pytest.raises(KeyboardInterrupt), encoding:
        interrupt_after(begun)
    assert time.monotonic() - started < 30
    goes_on.set()
    encoding._thread.join(60)
    assert cells[1].encoded == [], "the thread ends then"


def test_the_bar_says_how_far_rows_are_read(messages, monkeypatch, capsys):
    """Its total grows with what is known."""
    monkeypatch.setattr(progress, "EVERY", 0.0)
    group = QuestionGroup([FakeCell("a", 10), FakeCell("b", 20), FakeCell("c", 30)], SIZES)
    bar = progress_bar("predict", total=0, unit="token", shown=True)
    with bar, Encoding([group], keys={"a", "b"}, beside=False, bar=bar) as encoding:
        for portion in portions(group, encoding, size=10):
            encoding.show(sum(sum(cell.lengths) for cell in portion.cells if cell.stage.key != "c"))
    said = [re.sub(r", [\d.,]+k? tokens/s|, \S+ s to go| in \S+ s", "", line) for line in capsys.readouterr().err.splitlines()]
    assert said == [
        "predict: 0 of 10 tokens (0%), encoded 1 of 3 cells",
        "predict: 10 of 10 tokens (100%), encoded 1 of 3 cells",
        "predict: 10 of 30 tokens (33%), encoded 2 of 3 cells",
        "predict: 30 of 30 tokens (100%), encoded 2 of 3 cells",
        "predict: 30 of 30 tokens (100%)",
        "predict: 30 of 30 tokens (100%)",
        "predict: 30 tokens",
    ]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    made = Project.make(tmp_path_factory.mktemp("project"), max_steps=2, tasks="pairs,nearest")
    return made.with_machine(batch_tokens=120)


def test_the_device_begins_before_the_last_rows_are_read(project, tmp_path, monkeypatch):
    """What comes of it is what comes without threads."""
    computed, waited, encode = threading.Event(), [], Cell.encode

    def waits(self):
        if self.args.lang == "sw":
            waited.append(computed.wait(60))
        encode(self)

    with monkeypatch.context() as patch:
        listen(patch, Encoder, "begin", lambda *_, **__: computed.set())
        patch.setattr(Cell, "encode", waits)
        assert not project.run(tmp_path / "with", tasks="nearest", no_train=True).failed
    assert waited == [True]
    assert not project.with_machine(lookahead=False).run(tmp_path / "without", tasks="nearest", no_train=True).failed
    assert differences(tmp_path / "with", tmp_path / "without") == []


def test_what_memory_takes_is_known_in_later_portions_and_runs(project, tmp_path, monkeypatch):
    """A run that ends in its second portion goes on there with what it learnt in its first one."""
    begin, tried = Encoder.begin, []

    def run(root, *, ends_at=None):
        tried.clear()

        def little_memory(adapter, batch, **asked):
            tried.append(batch.input_ids.numel())
            if tried[-1] > 60:
                raise torch.OutOfMemoryError("no more")
            if len(tried) == ends_at:
                raise RuntimeError("the machine stops")
            return begin(adapter, batch, **asked)

        with monkeypatch.context() as patch:
            patch.setattr(Encoder, "begin", little_memory)
            project.run(tmp_path / root, tasks="nearest", no_train=True)
        return list(tried)

    whole = run("whole")
    refused = [place for place, tokens in enumerate(whole) if tokens > 60]
    assert 1 <= len(refused) <= 3, "not found out again with each batch, or in the second portion"
    first = run("cut", ends_at=len(whole) - 8)
    again = run("cut")
    assert len(first) == len(whole) - 8
    assert again[-8:] == whole[-8:]
    assert max(again) <= 60, "nothing is tried that was too much before"
    assert differences(tmp_path / "whole", tmp_path / "cut") == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_a_thread_that_reads_rows_ends_with_the_run(project, tmp_path, monkeypatch, error):
    """After the rows that it is at: thousands may follow."""
    chunks, encoded_chunks = [], cell_module.encoded_chunks

    def endless(module, examples, **how):
        if examples[0].lang == "de":
            yield from encoded_chunks(module, examples, **how)
            return
        while len(chunks) < 1000:
            check_wanted()
            chunks.append(time.sleep(0.01))
            yield 0, []

    def stops(*_, **__):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(cell_module, "encoded_chunks", endless)
        listen(patch, Encoder, "begin", stops)
        with pytest.raises(KeyboardInterrupt) if error is KeyboardInterrupt else contextlib.nullcontext():
            project.run(tmp_path, tasks="nearest", no_train=True)
    assert len(chunks) < 1000
