"""Every supported architecture goes through the whole pipeline on the miniature world: it trains, predicts and scores."""

import json
from pathlib import Path

import pytest
from small_models import CONFIGS

import run_eval
from harness.data.worlds import mini
from models.encoder import init_scratch, train_tokenizer

RECIPE = """
recipe: tiny
description: two steps of everything
defaults: {learning_rate: 1.0e-3, batch_size: 8, max_steps: 2, max_examples: 40, eval_examples: 8}
"""


MARKS = {"xlm-roberta": (), "bert": pytest.mark.slow, "mt5": pytest.mark.slow}
"The others are long."


@pytest.mark.parametrize("model_type", [pytest.param(name, marks=MARKS.get(name, pytest.mark.long)) for name in sorted(CONFIGS)])
def test_an_architecture_trains_predicts_and_scores_on_the_miniature_world(
    model_type: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs = [row for lang in ("sw", "zh") for row in mini.rows(config="parallel", split="train", lang=lang)[:200]]
    texts = [row[side] for row in pairs for side in ("text", "text_pair")]
    positions = {} if model_type.endswith("t5") else {"max_position_embeddings": 80}
    tokenizer = train_tokenizer(texts, vocab_size=2000)
    config = {"model_type": model_type, **CONFIGS[model_type], **positions}
    init_scratch(config, tokenizer=tokenizer, folder=tmp_path / "model", seed=1)
    (tmp_path / "tiny.yaml").write_text(RECIPE)
    tasks = "mini/nli,mini/tagging,mini/qa,mini/retrieval"
    code = run_eval.main(
        f"--model {tmp_path / 'model'} --tasks {tasks} --intermediate none,mini/mlm --languages en,sw --limit 8 --recipe tiny "
        f"--include_path {tmp_path / 'tiny.yaml'} --output_path {tmp_path / 'runs'} --device cpu --quiet".split()
    )
    shown = capsys.readouterr()
    assert code == 0, shown.err
    board = json.loads((tmp_path / "runs" / "leaderboard.json").read_text())
    rows = {(row["task"], row["intermediate"], row["lang"]) for row in board["rows"]}
    trained = {(task, arm, lang) for task in tasks.split(",")[:3] for arm in ("none", "mini/mlm") for lang in ("en", "sw")}
    assert rows == trained | {("mini/retrieval", arm, "sw") for arm in ("none", "mini/mlm")}
    assert all(0 <= row["score"]["value"] <= 100 for row in board["rows"])
    facts = [json.loads(path.read_text()) for path in (tmp_path / "runs").glob("train/*/train.json")]
    assert {fact["steps"] for fact in facts} == {2}
