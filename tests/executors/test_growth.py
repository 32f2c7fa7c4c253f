"""Costs of whole runs grow in a line with rows, languages and cells: benchmarks/growth.py says so, and its words hold."""

import importlib.util
import re
import subprocess
import sys

import pytest

from harness.api.registry import ROOT


@pytest.fixture
def benchmarks(monkeypatch):
    """growth.py and many_rows.py, as scripts import each other."""
    monkeypatch.setattr(sys, "path", [str(ROOT), *sys.path])
    spec = importlib.util.spec_from_file_location("growth", ROOT / "benchmarks/growth.py")
    growth = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(growth)
    return growth, sys.modules["benchmarks.many_rows"]


@pytest.mark.parametrize(("power", "code", "said"), [(1.0, 0, "^ 1.00"), (0.8, 0, "^ 0.80"), (1.3, 1, "not linear")])
def test_what_a_unit_costs_must_not_grow_with_the_size(benchmarks, monkeypatch, capsys, power, code, said):
    growth, many_rows = benchmarks
    asked = []

    def run(made):
        asked.append(made)
        num_rows = made.rows * len(made.languages) * made.tasks
        return many_rows.Cost(0.0, 2.0 + (num_rows / 100) ** power, 300_000_000 + 400 * num_rows)

    monkeypatch.setattr(growth, "run", run)
    monkeypatch.setattr(growth, "start", lambda: many_rows.Cost(0.0, 2.0, 300_000_000))
    monkeypatch.setattr(sys, "argv", ["growth.py", "--rows", "100,200,400"])
    assert growth.main() == code
    printed = capsys.readouterr().out
    assert printed.count(said) == 3
    assert [(made.rows, len(made.languages), made.tasks) for made in asked] == [
        *[(rows, 1, 1) for rows in (100, 200, 400)],
        *[(2500, languages, 1) for languages in (10, 20, 40)],
        *[(25, 20, tasks) for tasks in (5, 10, 20)],
    ]
    assert "0.40 kB" in printed


@pytest.mark.slow
def test_a_row_of_a_run_takes_little_memory():
    """All of a run, from the file to the board: 80,000 more rows take less than 600 bytes each."""
    # In a process of its own: the system counts the peak of a process that starts another as the other's.
    command = [sys.executable, ROOT / "benchmarks/many_rows.py", "--rows", "40000,120000"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    few, many = (int(megabytes) for megabytes in re.findall(r"(\d+) MB above the start", said))
    assert 0 < many - few < 600 * 80_000 / 1e6
