"""Cases on which commands once ended in a traceback, hung or printed a terminal escape; `make fuzz` tries thousands of others."""

from importlib import import_module

import pytest
from fuzzing import run_case

FOUND = {
    "spec_files": (13, 18, 52, 112, 281, 298),
    "lm_eval_task_files": (40, 61, 68, 110, 168),
    "data_files": (1010, 1158, 1181, 2171, 2297),
    "run_folders": (14, 17, 20, 24, 66, 77),
    "page_files": (297, 487),
    "flag_values": (3, 12, 16, 17, 23, 26, 29, 31, 35, 37, 51, 481),
    "model_folders": (0, 1, 7, 17, 27, 30, 87, 96, 111, 149, 153, 163, 167, 170, 198, 211, 213, 237),
}
"Fuzzer -> numbers of its cases, of seed 1."


@pytest.mark.parametrize(("fuzzer", "number"), [(name, number) for name, numbers in FOUND.items() for number in numbers])
def test_what_once_ended_in_a_traceback_is_said_in_words(fuzzer, number):
    what, verdicts = run_case(import_module(fuzzer).make, seed=1, number=number, seconds=60)
    assert [(what, verdict) for verdict in verdicts if verdict.kind != "ok"] == []
    assert len(verdicts) >= 1


def test_the_same_number_is_the_same_case_everywhere():
    first, again, other = (run_case(import_module("spec_files").make, seed=1, number=number) for number in (13, 13, 14))
    assert first[0] == again[0] != other[0]  # which one it is depends on the files that are shipped
