"""kill -9 at seeded changes of files and at seeded times: the end is the same, byte for byte."""

import random
import time

import numpy as np
import pytest
from small_runs import Project, differences, num_steps, run_in_child

from harness.prediction.partials import open_partials
from harness.runtime.locks import lock

SAVE_EVERY = 2


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return Project.make(tmp_path_factory.mktemp("killed"), patience=2).with_machine(save_every=SAVE_EVERY, batch_tokens=300)


def uninterrupted(project, root, **request):
    assert run_in_child(project, root, **request) == 0
    return num_steps(root.with_suffix(".trace"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("tasks", "intermediate", "kills"),
    [pytest.param("pairs,tags", "none", 6, marks=pytest.mark.long), ("quiz,nearest", "cloze", 4)],
)
def test_killed_at_changes_of_files_it_ends_with_the_same_bytes(project, tmp_path, tasks, intermediate, kills):
    """Each attempt dies at some change: while states, checkpoints, partials are written, between rename and done.json."""
    request = {"tasks": tasks, "intermediate": intermediate}
    steps = uninterrupted(project, tmp_path / "whole", **request)
    rng = random.Random(tasks)
    killed = 0
    while killed < kills:
        before = num_steps(tmp_path / "cut.trace")
        code = run_in_child(project, tmp_path / "cut", die_at=rng.randrange(3, 60), **request)
        assert code in (0, -9)
        if code == 0:
            break
        killed += 1
        assert num_steps(tmp_path / "cut.trace") >= before
    assert killed >= 4
    assert run_in_child(project, tmp_path / "cut", **request) == 0
    assert differences(tmp_path / "whole", tmp_path / "cut") == []
    assert 0 < steps <= num_steps(tmp_path / "cut.trace") <= steps + killed * SAVE_EVERY


@pytest.mark.slow
def test_prompts_go_on_where_they_were(project, tmp_path):
    """Killed between answers: what the model has said is on disk, and is not asked again."""
    project = project.with_machine(batch_tokens=40)
    request = {"tasks": "pairs,tags", "model": str(project.decoder), "route": "prompt", "prompt_args": "num_fewshot=1"}
    uninterrupted(project, tmp_path / "whole", **request)

    def num_said() -> int:
        return sum(path.read_bytes().count(b"\n") for path in tmp_path.glob("cut/predict/*/partials-0.jsonl"))

    for _ in range(2):
        before = num_said()
        code = run_in_child(project, tmp_path / "cut", until=lambda before=before: num_said() > before, **request)
        assert code == -9
        assert num_said() > before
    assert run_in_child(project, tmp_path / "cut", **request) == 0
    assert differences(tmp_path / "whole", tmp_path / "cut") == []


@pytest.mark.slow
def test_fine_tuning_in_words_ends_with_the_same_bytes(project, tmp_path):
    """Killed while it trains and while it chooses a checkpoint by asking."""
    request = {
        "tasks": "pairs",
        "model": str(project.decoder),
        "route": "prompt",
        "prompt_args": "sft=true",
        "languages": ("de",),
    }
    uninterrupted(project, tmp_path / "whole", **request)
    killed = [run_in_child(project, tmp_path / "cut", die_at=die_at, **request) for die_at in (14, 31, 45)]
    assert killed == [-9, -9, -9]
    assert run_in_child(project, tmp_path / "cut", **request) == 0
    assert differences(tmp_path / "whole", tmp_path / "cut") == []


@pytest.mark.slow
def test_killed_at_each_change_at_the_end_of_training(project, tmp_path):
    """From the last step on: best checkpoint, log, checkpoint, train.json, done.json, tidying, predictions, scores."""
    request = {"tasks": "pairs", "languages": ("de",)}
    uninterrupted(project, tmp_path / "whole", **request)
    code, number = -9, 0
    while code == -9:  # every attempt comes one change further than the one before, or is done
        number += 1
        code = run_in_child(project, tmp_path / "cut", die_at=10 + 3 * number, **request)
        assert number < 60
    assert code == 0
    assert differences(tmp_path / "whole", tmp_path / "cut") == []


@pytest.mark.slow
def test_killed_at_random_times(project, tmp_path):
    request = {"tasks": "pairs,nearest", "intermediate": "none,cloze"}
    begin = time.monotonic()
    uninterrupted(project, tmp_path / "whole", **request)
    duration = time.monotonic() - begin
    rng = random.Random(5)
    for _ in range(3):
        run_in_child(project, tmp_path / "cut", after=rng.uniform(0.2, 0.9) * duration, **request)
    assert run_in_child(project, tmp_path / "cut", **request) == 0
    assert differences(tmp_path / "whole", tmp_path / "cut") == []


@pytest.mark.slow
def test_at_most_one_batch_is_predicted_again(project, tmp_path):
    """Each batch is one change of a file: dying one change later finds one batch of 10 sentences more on disk, and keeps it."""
    project = project.with_machine(batch_tokens=100)
    request = {"tasks": "nearest", "no_train": True, "languages": ("de",)}
    counts = []
    for die_at in range(16, 22):
        root = tmp_path / str(die_at)
        assert run_in_child(project, root, die_at=die_at, **request) == -9
        (folder,) = root.glob("predict/*")
        held = open_partials(folder, vectors=True)
        counts.append(sum(number in held for number in range(60)))
        held.close()
    begun = counts[counts.index(10) :]
    assert begun == [10 * number for number in range(1, len(begun) + 1)]
    assert len(begun) > 1
    assert run_in_child(project, root, die_at=6, **request) == -9
    held = open_partials(folder, vectors=True)
    assert sum(number in held for number in range(60)) >= counts[-1]
    held.close()


def test_a_killed_process_leaves_no_lock(project, tmp_path):
    assert run_in_child(project, tmp_path / "r", die_at=10, tasks="pairs") == -9
    folder = next((tmp_path / "r").glob("train/*"))
    with lock(folder, wait=False) as held:
        assert held


def test_a_torn_line_is_dropped(tmp_path):
    store = open_partials(tmp_path, vectors=False)
    store.write([(0, "a"), (1, "b\u00e9")])
    store.close()
    path = tmp_path / "partials-0.jsonl"
    for cut in range(1, 9):
        path.write_bytes(b'[0,"a"]\n' + '[1,"b\u00e9"]\n'.encode()[:cut])
        store = open_partials(tmp_path, vectors=False)
        assert (0 in store, 1 in store) == (True, False)
        store.write([(1, "c")])
        store.close()
        assert path.read_text() == '[0,"a"]\n[1,"c"]\n'


def test_a_torn_row_is_written_again(tmp_path):
    rows = np.arange(12, dtype=np.float32).reshape(3, 4)
    store = open_partials(tmp_path, vectors=True)
    store.write([(2, rows[2]), (0, rows[0])])
    store.close()
    with (tmp_path / "vectors.f32").open("r+b") as file:
        file.seek(rows[0].nbytes)
        file.write(b"\x01\x02\x03")  # a part of row 1, without its journal
    with (tmp_path / "vectors-0.done").open("a") as file:
        file.write("[1")
    store = open_partials(tmp_path, vectors=True)
    assert [number in store for number in range(3)] == [True, False, True]
    assert store.read(3) is None
    store.write([(1, rows[1])])
    assert np.array_equal(np.stack(store.read(3)), rows)
    store.close()


def test_rows_whose_journal_is_torn_are_written_again(tmp_path):
    rows = np.arange(12, dtype=np.float32).reshape(3, 4)
    store = open_partials(tmp_path, vectors=True)
    store.write(enumerate(rows))
    store.close()
    journal = tmp_path / "vectors-0.done"
    journal.write_text(journal.read_text().splitlines(keepends=True)[0] + "[1, 4")
    store = open_partials(tmp_path, vectors=True)
    assert [number in store for number in range(3)] == [True, False, False]
    store.write([(2, rows[2]), (1, rows[1])])
    assert np.array_equal(np.stack(store.read(3)), rows)
    store.close()


def test_rows_of_another_process_count(tmp_path):
    """What two processes have written serves one that goes on alone, also where both have said the same feature."""
    rows = np.arange(16, dtype=np.float32).reshape(4, 4)
    both = [(open_partials(tmp_path, vectors=True, rank=rank), numbers) for rank, numbers in ((0, (0, 1)), (1, (1, 3)))]
    for store, numbers in both:
        store.write((number, rows[number]) for number in numbers)
        store.close()
    store = open_partials(tmp_path, vectors=True)
    store.write([(2, rows[2])])
    assert np.array_equal(np.stack(store.read(4)), rows)
    store.close()
