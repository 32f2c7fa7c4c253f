"""The real small encoder on real rows: fine-tuned and killed it predicts the same bytes, and it reaches known Tatoeba figures."""

import json

import pytest
from small_runs import Project, differences, run_in_child

pytestmark = pytest.mark.real


@pytest.fixture
def real(e5, shared, tmp_path):
    values = {
        "learning_rate": 5e-5,
        "batch_size": 8,
        "max_steps": 4,
        "max_examples": 64,
        "epochs": 3,
        "eval_examples": 40,
        "eval_every": 2,
    }
    recipe = {"recipe": "real4", "description": "four steps", "defaults": {**values, "freeze": "embeddings"}, "save_every": 2}
    (tmp_path / "yaml").mkdir()
    (tmp_path / "yaml" / "real4.yaml").write_text(json.dumps(recipe))
    return Project(folder=tmp_path / "yaml", model=e5, data=shared / "hub")


def test_fine_tuned_killed_and_resumed_it_predicts_the_same_bytes(real, tmp_path):
    request = {"tasks": "panx", "languages": ("de",), "limit": 50, "recipe": "real4"}
    assert run_in_child(real, tmp_path / "whole", **request) == 0
    assert run_in_child(real, tmp_path / "cut", die_at=40, **request) == -9
    assert list((tmp_path / "cut").glob("train/*/state-2"))
    assert run_in_child(real, tmp_path / "cut", **request) == 0
    assert differences(tmp_path / "whole", tmp_path / "cut") == []
    (score,) = (tmp_path / "whole").glob("score/*/score.json")
    assert json.loads(score.read_text())["counts"]["examples"] == 50


def test_tatoeba_reaches_the_figures_of_the_models_own_engine(real, tmp_path):
    args = f"path={real.model},dtype=float32"
    report = real.run(
        tmp_path, tasks="tatoeba", languages=("de",), model="multilingual-e5-small", model_args=args, recipe="real4"
    )
    assert not report.failed
    (score,) = tmp_path.glob("score/*/score.json")
    found = json.loads(score.read_text())
    assert found["counts"]["examples"] == 1000
    assert found["score"]["value"] == pytest.approx(96.2, abs=0.5)
