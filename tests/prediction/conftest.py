"""In this wing cells are computed portion by portion, as on a GPU: on a CPU few cells are one portion."""

import pytest

from harness.prediction import loop


@pytest.fixture(autouse=True)
def small_portions(monkeypatch):
    monkeypatch.setattr(loop, "CPU_FIRST", 1)
