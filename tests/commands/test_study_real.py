"""A ladder of a real encoder, cut to its first layers, on real rows: machinery, not an answer."""

import json

import pytest
from cut_models import cut_model

import run_eval

pytestmark = pytest.mark.real
LAYERS = (2, 4, 6)


@pytest.mark.long
def test_a_cut_ladder_on_real_rows_leaves_lifts_that_are_the_board_s(e5, shared, tmp_path, capsys):
    for layers in LAYERS:
        cut_model(e5, tmp_path / f"e5-{layers}", num_layers=layers)
    recipe = {
        "recipe": "few_steps",
        "description": "Three steps.",
        "defaults": {"learning_rate": 1e-3, "batch_size": 8, "freeze": "embeddings", "eval_examples": 20, "max_steps": 3},
    }
    study = {
        "study": "cut",
        "description": "A real encoder cut to its first layers.",
        "note": "Cut models are damaged models: this checks machinery, not the question.",
        "methods": {"full": {"recipe": "few_steps"}},
        "families": {"e5": {"backbones": [str(tmp_path / f"e5-{layers}") for layers in LAYERS]}},
        "intermediate": ["qqp"],
        "tasks": ["tatoeba"],
        "languages": ["de"],
        "limit": 40,
        "seeds": [1, 2],
        "retrieval_layers": [0.5],
        "references": ["xlmr_large_xtreme"],
        "verdicts": {"reference": 4.0e6, "target": 1.2e7, "margin": 3.0},
        "hypotheses": [{"name": "QQP keeps helping retrieval", "asks": "scale", "settings": "qqp"}],
    }
    for name, values in (("recipe", recipe), ("study", study)):
        (tmp_path / f"{name}.yaml").write_text(json.dumps(values))
    root = tmp_path / "runs"
    words = ["study", str(tmp_path / "study.yaml"), "--include_path", str(tmp_path / "recipe.yaml"), "--quiet"]
    words += ["--data_dir", str(shared / "hub"), "--output_path", str(root), "--device", "cpu"]
    assert run_eval.main(words) == 0
    told = capsys.readouterr().out
    assert "NOTE: Cut models are damaged models" in told
    found, board = (json.loads((root / name).read_text()) for name in ("study.json", "leaderboard.json"))
    sizes = {one["backbone"]: one["size"] for one in found["backbones"]}
    # A layer of 384 has 1.77 million parameters; all have the layer norm of the embeddings.
    assert [round((sizes[f"e5-{layers}"] - 768) / layers) for layers in LAYERS] == [1_774_464] * 3
    assert (found["missing"]["count"], found["look"]["taken"], found["partial"]) == (0, True, True)
    (entry,) = [one for one in found["lifts"] if one["kind"] == "zero_shot"]
    for one in entry["scales"]["points"]["backbones"]:
        rows = [row for row in board["rows"] if (row["model"], row["intermediate"]) == (one["backbone"], "qqp")]
        assert len(rows) == 2  # a language, two seeds
        assert one["lift"]["value"] == pytest.approx(sum(row["lift"]["value"] for row in rows) / 2, abs=1e-4)
    whole = {layers: row["layers"] for layers in LAYERS for row in found["layers"] if row["backbone"] == f"e5-{layers}"}
    assert all(len(layers) == 1 and layers[0]["missing"] == 0 for layers in whole.values())
    assert found["hypotheses"][0]["verdict"] in ("undecided", "never there")
    assert {one["size"] for one in found["references"]} == {302_311_424}
