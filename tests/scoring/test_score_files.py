"""Scores and statistics are read back as they were written; others cost words that name the file."""

import json

import numpy as np
import pytest

from harness.api.errors import UserError
from harness.scoring.score import score_cell, write_score
from harness.scoring.score_files import read_ids, read_score, read_stats


@pytest.fixture
def folder(tmp_path):
    lines = [{"id": str(n), "prediction": "yes", "gold": ("yes", "no")[n % 2], "notes": [], "num_truncated": 0} for n in range(4)]
    write_score(score_cell(lines, metrics=["accuracy"], score=[], lang="de", num_expected=4), tmp_path)
    return tmp_path


def test_what_was_written_is_read_back(folder):
    assert read_score(folder)["score"]["value"] == 50
    assert read_ids(folder).tolist() == ["0", "1", "2", "3"]
    assert set(read_stats(folder)) == {"ids", "accuracy"}


@pytest.mark.parametrize(
    "change",
    [
        {"score": None}, {"score": {"value": "50", "low": 0, "high": 0}}, {"score": {"value": 50}}, {"metrics": []},
        {"metrics": {"accuracy.accuracy": 5}}, {"counts": {}}, {"counts": None},
    ],
)  # fmt: skip
def test_a_score_of_another_shape_is_named(folder, change):
    found = json.loads((folder / "score.json").read_text())
    (folder / "score.json").write_text(json.dumps({**found, **change}))
    with pytest.raises(UserError, match=r"score\.json: not a score as the score stage writes it"):
        read_score(folder)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x93NUMPY", b"\x80\x04."])
def test_statistics_of_other_bytes_are_named(folder, content):
    (folder / "stats.npz").write_bytes(content)
    with pytest.raises(UserError, match=r"stats\.npz: statistics that cannot be read"):
        read_stats(folder)


@pytest.mark.parametrize(
    "arrays",
    [
        {"ids": np.array([1])},
        {"ids": np.array(["a"]), "accuracy": np.array([1.0])},
        {"ids": np.array(["a"]), "x": np.zeros((2, 1))},
    ],
)
def test_statistics_of_another_shape_are_named(folder, arrays):
    np.savez(folder / "stats.npz", **arrays)
    with pytest.raises(UserError, match=r"stats\.npz: not statistics as the score stage writes them"):
        read_stats(folder)
