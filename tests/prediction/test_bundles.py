"""Which cells share batches is written down for each of them, once for all."""

import json
import os
from dataclasses import replace

import pytest
from small_runs import Project

from harness.prediction.bundles import BatchSizes, forget_cells, remove_bundle_files, shared_batches

SIZES = BatchSizes(120, first=1)


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    project = Project.make(tmp_path_factory.mktemp("project"), tasks="pairs")
    (predict,) = [s for s in project.plan(tasks="pairs", languages=("de",))[0].stages if s.verb == "predict"]
    return predict


def cells(planned, number):
    """Predictions of one checkpoint, each of other rows."""
    return [replace(planned, args=replace(planned.args, data=f"file:{place}")) for place in range(number)]


def recorded(stages, root):
    return [json.loads((stage.folder(root) / "bundle.json").read_text()) for stage in stages]


def files_of(stages, root):
    return len({(stage.folder(root) / "bundle.json").stat().st_ino for stage in stages})


def test_a_bundle_is_written_once_and_found_by_each_of_its_cells(planned, tmp_path):
    """A guard that no clock disturbs: n cells that wrote n keys each would write n * n."""
    stages = cells(planned, 50)
    keys = [stage.key for stage in stages]
    (shared,) = shared_batches(stages, todo=stages, root=tmp_path, sizes=SIZES)
    assert (shared.stages, shared.sizes) == (stages, SIZES)
    assert recorded(stages, tmp_path) == [{"keys": keys, "tokens": 120, "first": 1}] * 50
    assert files_of(stages, tmp_path) == 1
    for stage in stages[:20]:  # these are done
        remove_bundle_files(stage.folder(tmp_path))
    (again,) = shared_batches(stages, todo=stages[20:], root=tmp_path, sizes=BatchSizes(999, first=8))
    assert again == shared
    assert files_of(stages[20:], tmp_path) == 1
    assert not any(path.name != "bundle.json" for path in tmp_path.glob("predict/*/*"))


def test_cells_that_are_lost_share_batches_with_none(planned, tmp_path):
    stages = cells(planned, 5)
    groups = shared_batches(stages, todo=stages, root=tmp_path, sizes=SIZES)
    lost = [stages[1].key, stages[3].key]
    forget_cells(groups, lost=lost, todo=stages, root=tmp_path)
    left = [stages[place].key for place in (0, 2, 4)]
    assert [one["keys"] for one in recorded(stages, tmp_path)] == [left, lost[:1], left, lost[1:], left]
    found = shared_batches(stages, todo=stages, root=tmp_path, sizes=SIZES)
    assert [[stage.key for stage in group.stages] for group in found] == [left, lost[:1], lost[1:]]


def test_a_file_system_without_links_has_a_file_for_each(planned, tmp_path, monkeypatch):
    def link(*_):
        raise OSError("not supported")

    monkeypatch.setattr(os, "link", link)
    stages = cells(planned, 3)
    shared_batches(stages, todo=stages, root=tmp_path, sizes=SIZES)
    assert recorded(stages, tmp_path) == [{"keys": [stage.key for stage in stages], "tokens": 120, "first": 1}] * 3
    assert files_of(stages, tmp_path) == 3


def test_no_cell_is_in_two_bundles(planned, tmp_path):
    """Three cells begin, then two of them are asked for alone, then all three again."""
    stages = cells(planned, 3)
    shared_batches(stages, todo=stages, root=tmp_path, sizes=SIZES)
    (two,) = shared_batches(stages[:2], todo=stages[:2], root=tmp_path, sizes=BatchSizes(60, first=8))
    assert (two.stages, two.sizes) == (stages[:2], BatchSizes(60, first=8))
    groups = shared_batches(stages, todo=stages, root=tmp_path, sizes=SIZES)
    assert [group.stages for group in groups] == [stages[:2], stages[2:]]
    assert [group.sizes for group in groups] == [BatchSizes(60, first=8), SIZES]
    assert shared_batches(stages, todo=stages, root=tmp_path, sizes=SIZES) == groups
