"""A machine is calibrated in the harness' own loops, remembered for this device, and plans say so."""

import pytest

from harness.executors.measuring.calibration import measure
from harness.planning.catalog.catalog import Catalog
from harness.planning.costs.calibration import calibration_of, keep_calibration
from harness.planning.costs.devices import named_device, present_device
from harness.planning.costs.speeds import speed_of


@pytest.fixture(scope="module")
def found():
    return measure("cpu", precisions=["float32", "bfloat16"], widths=(64, 128), seconds=0.05)


def test_every_precision_and_width_is_measured(found):
    assert list(found.rates) == ["float32", "bfloat16"]
    for rates in found.rates.values():
        assert [one.hidden for one in rates] == [64, 128]
        assert all(1e6 < rate < 1e15 for one in rates for rate in one[1:])
    assert found.bandwidth > 1e6
    assert found.product > 1e6
    assert found.threads >= 1


def test_what_was_measured_is_remembered_for_this_device_alone(found, tmp_path, monkeypatch):
    monkeypatch.setenv("XLIFT_CACHE_DIR", str(tmp_path))
    here, catalog = present_device("cpu"), Catalog()
    assert calibration_of(here) is None
    keep_calibration(here, found.json())
    known = calibration_of(here)
    assert known is not None
    speed = speed_of(here, precision="float32", calibration=known)
    assert speed.is_measured
    assert "a calibration of this machine (20" in speed.source
    assert speed.rate(64, training=True) == pytest.approx(found.rates["float32"][0].training)
    twice = speed.rate(64, training=True, checkpointing=True)
    assert twice == pytest.approx(found.rates["float32"][0].checkpointed)
    assert twice != speed.rate(64, training=True)
    assert calibration_of(named_device("h100-80gb", catalog=catalog)) is None
    monkeypatch.setenv("OMP_NUM_THREADS", "7")  # as many threads as were not measured
    assert calibration_of(here) is None
