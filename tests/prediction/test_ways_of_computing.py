"""What decides rounding and is in no key is written beside predictions: an engine that divides layers adds up in other parts."""

import pytest
from small_engines import vllm_in
from small_runs import Project

from harness.prediction.cell import Cell


@pytest.mark.parametrize(("said", "written"), [("", None), (",tensor_parallel_size=1", None), (",tensor_parallel_size=4", 4)])
def test_layers_that_an_engine_divides_are_written_down(said, written, tmp_path, monkeypatch):
    monkeypatch.setenv("XLIFT_VLLM_PYTHON", vllm_in(tmp_path))
    project = Project.make(tmp_path / "project", tasks="pairs")
    plan, machine = project.plan(
        tasks="pairs", model=str(project.decoder), model_args=f"engine=vllm{said}", route="prompt", languages=("de",)
    )
    (stage,) = [stage for stage in plan.stages if stage.verb == "predict"]
    cell = Cell(stage=stage, folder=tmp_path / "cell", machine=machine, tokenizer=None, max_positions=None)
    assert cell.computing()["arithmetic"].get("tensor_parallel_size") == written
    assert cell.computing()["arithmetic"]["device"] == "cpu"
