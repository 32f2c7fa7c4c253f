"""Nearest neighbours against brute force, with ties, zeros, memmaps and a memory limit."""

import mmap
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from harness.api.errors import UserError
from harness.data.memory_maps import forget
from harness.task_types.vectors.nearest_neighbours import mutual_top_k, search_memory, top_k


def vectors(num: int, length: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(num, length)).astype(np.float32)


def brute_force(queries: np.ndarray, index: np.ndarray) -> np.ndarray:
    queries, index = queries.astype(np.float64), index.astype(np.float64)
    norms = np.linalg.norm(queries, axis=1)[:, None] * np.linalg.norm(index, axis=1)[None, :]
    return np.divide(queries @ index.T, norms, out=np.zeros_like(norms), where=norms > 0)


@pytest.mark.parametrize(
    ("num_queries", "num_index", "length", "k"), [(17, 50, 8, 1), (40, 23, 33, 4), (1, 1, 1, 1), (9, 5, 3, 5)]
)
def test_neighbours_are_those_of_brute_force(num_queries: int, num_index: int, length: int, k: int) -> None:
    queries, index = vectors(num_queries, length, 0), vectors(num_index, length, 1)
    cosines = brute_force(queries, index)
    found = top_k(queries, index, k=k)
    assert found.indices.dtype == np.int64
    assert found.scores.dtype == np.float32
    assert np.array_equal(found.indices, np.argsort(-cosines, axis=1, kind="stable")[:, :k])
    assert np.allclose(found.scores, np.take_along_axis(cosines, found.indices, axis=1), rtol=0, atol=1e-6)


@pytest.mark.parametrize("k", [1, 4])
def test_block_size_does_not_change_a_bit(k: int) -> None:
    queries, index = vectors(60, 96, 2), np.repeat(vectors(30, 96, 3), 3, axis=0)
    whole = top_k(queries, index, k=k)
    for block_bytes in (1, 20_000, 100_000, 700_000):
        blocked = top_k(queries, index, k=k, block_bytes=block_bytes)
        assert np.array_equal(blocked.indices, whole.indices)
        assert np.array_equal(blocked.scores, whole.scores)


def test_scores_are_exact_integer_arithmetic_rounded_once() -> None:
    queries, index = vectors(25, 300, 17), vectors(40, 300, 18)
    grid = [
        np.rint(v / np.linalg.norm(v, axis=1, keepdims=True) * 2.0**26).astype(np.int64)
        for v in (queries.astype(float), index.astype(float))
    ]
    exact = (grid[0] @ grid[1].T / 2.0**52).astype(np.float32)  # int64: no rounding before this line
    found = top_k(queries, index, k=40)
    assert np.array_equal(found.scores, np.take_along_axis(exact, found.indices, axis=1))


@pytest.mark.parametrize("block_bytes", [1, 10_000, 1 << 28])
def test_ties_go_to_the_lowest_index(block_bytes: int) -> None:
    row = vectors(1, 40, 4)
    index = np.concatenate([-row, row * 3, vectors(20, 40, 5), row, row / 7, np.zeros((2, 40), dtype=np.float32)])
    found = top_k(row, index, k=3, block_bytes=block_bytes)
    assert found.indices.tolist() == [[1, 22, 23]]
    assert found.scores.tolist() == [[1.0, 1.0, 1.0]]
    everything = top_k(row, index, k=len(index), block_bytes=block_bytes)
    order = list(zip((-everything.scores[0]).tolist(), everything.indices[0].tolist()))
    assert order == sorted(order)
    assert sorted(everything.indices[0].tolist()) == list(range(len(index)))
    assert (everything.indices[0, -1], everything.scores[0, -1]) == (0, -1.0)


def test_identical_index_vectors_give_index_zero_to_everyone() -> None:
    found = top_k(vectors(50, 16, 6), np.ones((70, 16), dtype=np.float32), k=1, block_bytes=9_000)
    assert not found.indices.any()


def test_zero_vectors_have_cosine_zero_with_everything() -> None:
    queries = np.array([[0.0, 0.0], [1.0, 0.0]])
    index = np.array([[-1.0, 0.0], [0.0, 0.0], [0.0, -2.0], [0.0, 5.0]])
    found = top_k(queries, index, k=4)
    assert found.indices.tolist() == [[0, 1, 2, 3], [1, 2, 3, 0]]
    assert found.scores.tolist() == [[0.0] * 4, [0.0, 0.0, 0.0, -1.0]]


def test_lengths_of_vectors_do_not_matter() -> None:
    queries, index = vectors(20, 12, 7), vectors(30, 12, 8)
    scales = np.exp2(np.random.default_rng(9).integers(-20, 20, size=(30, 1))).astype(np.float32)
    assert np.array_equal(top_k(queries, index, k=4).scores, top_k(queries * 8, index * scales, k=4).scores)


def test_memmaps_are_read_in_bounded_memory(tmp_path: Path) -> None:
    np.save(tmp_path / "index.npy", vectors(6000, 64, 10))
    np.save(tmp_path / "queries.npy", vectors(900, 64, 11))
    index, queries = (np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in ("index", "queries"))
    tracemalloc.start()
    try:
        found = top_k(queries, index, k=4, block_bytes=1_000_000)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000 + 6 * found.indices.nbytes  # all scores at once would take 21 MB
    assert np.array_equal(found.indices, np.argsort(-brute_force(queries, index), axis=1, kind="stable")[:, :4])


def test_no_queries_give_an_empty_result() -> None:
    found = top_k(np.zeros((0, 5)), vectors(4, 5, 12), k=2)
    assert found.indices.shape == found.scores.shape == (0, 2)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused_with_their_row(bad: float) -> None:
    index = vectors(10, 4, 13)
    index[7, 2] = bad
    with pytest.raises(UserError, match=r"(?s)vector 7 holds NaN or infinity.*float32 or bfloat16"):
        top_k(vectors(3, 4, 14), index, k=1, block_bytes=1000)


def test_impossible_requests_are_refused() -> None:
    with pytest.raises(UserError, match=r"(?s)1 to 3.*k=4"):
        top_k(vectors(2, 4, 15), vectors(3, 4, 16), k=4)
    with pytest.raises(UserError, match=r"k=0"):
        top_k(vectors(2, 4, 15), vectors(3, 4, 16), k=0)
    with pytest.raises(UserError, match=r"\[2, 4\] and \[3, 5\]"):
        top_k(vectors(2, 4, 15), vectors(3, 5, 16), k=1)


def exact_order(queries: np.ndarray, index: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Neighbours by whole numbers: unit vectors on the grid, their products rounded once, ties by index."""
    grid = [
        np.rint(v / np.sqrt((v * v).sum(axis=1, keepdims=True)) * 2.0**26).astype(np.int64)
        for v in (queries.astype(float), index.astype(float))
    ]
    scores = np.clip(grid[0] @ grid[1].T / 2.0**52, -1, 1).astype(np.float32)
    indices = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return indices, np.take_along_axis(scores, indices, axis=1)


def alike(num: int, length: int, seed: int, *, spread: float) -> np.ndarray:
    """Vectors around one direction: their cosines differ by about the square of the spread."""
    return (vectors(1, length, 99) + spread * vectors(num, length, seed)).astype(np.float32)


@pytest.mark.parametrize("spread", [1.0, 0.1, 0.01, 0.003, 1e-6, 0.0])
@pytest.mark.parametrize("k", [1, 4])
def test_near_ties_are_settled_exactly(spread: float, k: int) -> None:
    """Cosines that single precision cannot tell apart: some, many or all pairs have to be scored exactly."""
    queries, index = alike(50, 200, 21, spread=spread), alike(70, 200, 22, spread=spread)
    indices, scores = exact_order(queries, index, k)
    for block_bytes in (30_000, 300_000, 1 << 28):
        found = top_k(queries, index, k=k, block_bytes=block_bytes)
        assert np.array_equal(found.scores, scores)
        assert np.array_equal(found.indices, indices)


def test_near_ties_need_the_bound() -> None:
    """Trusting single precision would give other neighbours: the cases above can fail."""
    queries, index = alike(200, 200, 21, spread=0.003), alike(200, 200, 22, spread=0.003)
    indices, _ = exact_order(queries, index, 1)
    one, other = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (queries, index))
    assert one.dtype == other.dtype == np.float32
    assert not np.array_equal((one @ other.T).argmax(axis=1), indices[:, 0])
    assert np.array_equal(top_k(queries, index, k=1).indices, indices)


def one_after_the_other(left: np.ndarray, right: np.ndarray, *, out: np.ndarray) -> np.ndarray:
    """A matrix product whose sums grow term by term: no BLAS rounds more."""
    out[:] = 0
    for column in range(left.shape[1]):
        out += left[:, column, None] * right[column]
    return out


@pytest.mark.parametrize("length", [1, 7, 64, 1024, 4096])
def test_the_bound_holds_for_products_in_single_precision(length: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also for vectors of one sign, whose sums grow steadily, added one after the other."""
    for sign in (lambda v: v, np.abs):
        queries, index = (sign(alike(150, length, seed, spread=0.001)) for seed in (31, 32))
        indices, scores = exact_order(queries, index, 2)
        for product in (np.matmul, one_after_the_other):
            with monkeypatch.context() as patch:
                patch.setattr(np, "matmul", product)
                found = top_k(queries, index, k=2)
            assert np.array_equal(found.indices, indices)
            assert np.array_equal(found.scores, scores)


@pytest.mark.parametrize("spread", [1.0, 0.003, 0.0])
@pytest.mark.parametrize("block_bytes", [5_000, 60_000, 1 << 28])
def test_both_directions_at_once_are_those_of_two_searches(spread: float, block_bytes: int) -> None:
    queries, index = alike(61, 40, 23, spread=spread), alike(83, 40, 24, spread=spread)
    both = mutual_top_k(queries, index, k=4, block_bytes=block_bytes)
    for found, (indices, scores) in zip(both, (exact_order(queries, index, 4), exact_order(index, queries, 4)), strict=True):
        assert np.array_equal(found.indices, indices)
        assert np.array_equal(found.scores, scores)


def test_both_directions_need_k_vectors_on_each_side() -> None:
    with pytest.raises(UserError, match=r"(?s)1 to 3.*k=4"):
        mutual_top_k(vectors(3, 4, 15), vectors(9, 4, 16), k=4)


@pytest.mark.parametrize("shape", [(500, 3000, 64), (3000, 500, 64), (500, 500, 700)])
@pytest.mark.parametrize("spread", [1.0, 0.0])
def test_memory_is_said_beforehand(shape: tuple[int, int, int], spread: float) -> None:
    """Arrays of numpy only: the resident memory of a process is held against the statement in test_mining_memory."""
    num_queries, num_index, length = shape
    queries, index = alike(num_queries, length, 25, spread=spread), alike(num_index, length, 26, spread=spread)
    stated = search_memory(num_queries, num_index, dimension=length, k=4, mutual=True, block_bytes=4_000_000)
    assert stated["total"] == sum(size for name, size in stated.items() if name != "total")
    tracemalloc.start()
    try:
        mutual_top_k(queries, index, k=4, block_bytes=4_000_000)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert 0.4 * (stated["total"] - stated["library"]) < peak < stated["total"] - stated["library"]


def test_pages_of_what_was_read_are_given_back(tmp_path: Path) -> None:
    np.save(tmp_path / "rows.npy", vectors(4000, 1024, 27))
    rows = np.asarray(np.load(tmp_path / "rows.npy", mmap_mode="r"))

    def resident() -> int:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[2])  # those of files
        return pages * mmap.PAGESIZE

    before = resident()
    total = rows.sum()
    assert resident() - before > rows.nbytes / 2
    forget(rows[:3999])
    assert resident() - before < rows.nbytes / 8
    assert rows.sum() == total
    changed = np.load(tmp_path / "rows.npy", mmap_mode="c")
    changed[0, 0] = 7
    forget(changed)
    assert changed[0, 0] == 7, "what was changed is kept"
    forget(np.zeros(3))
