"""A few cases of the fuzzers of flag values and model folders: no traceback, no hang, nothing that a terminal obeys.

Thousands of them: `python tests/fuzz flag_values model_folders --count 5000`.
"""

import flag_values
import model_folders
import pytest
from fuzzing import campaign


@pytest.mark.parametrize("fuzzer", [flag_values, model_folders], ids=lambda module: module.__name__)
def test_nothing_in_a_flag_or_a_folder_is_a_traceback(fuzzer, monkeypatch, tmp_path):
    monkeypatch.setenv("XLIFT_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    tally = campaign(fuzzer.make, seed=11, count=15, seconds=60)
    assert tally.cases == 15
    assert set(tally.codes) == {0, 2}
    assert tally.bad == {}, tally.report(detail=True)
