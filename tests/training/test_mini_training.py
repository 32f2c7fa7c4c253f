"""Miniatures train: a tiny random-weight encoder beats chance in English with a task of each type, and every YAML runs."""

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import run_eval
from harness.api.registry import ROOT
from harness.data.worlds import mini
from harness.data.worlds.miniature.language import lexicon, world
from harness.planning.catalog.catalog import Catalog
from models.encoder import init_scratch, train_tokenizer

CATALOG = Catalog()
CONFIG = {
    "model_type": "xlm-roberta",
    "num_hidden_layers": 1,
    "hidden_size": 64,
    "num_attention_heads": 4,
    "intermediate_size": 128,
    "max_position_embeddings": 70,
    "type_vocab_size": 1,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}
RECIPE: dict[str, Any] = {
    "description": "for tests",
    "defaults": {"learning_rate": 3e-3, "batch_size": 32, "warmup_ratio": 0.1, "eval_every": 1000, "precision": "float32"},
    "intermediate": {"max_steps": 2, "max_examples": 40},
    "target": {"max_steps": 2, "max_examples": 40},
    "task_options": {"retrieval": {"layer": 0}, "bitext_mining": {"layer": 0}},
}
MIXTURE = {"max_steps": 30, "batch_size": 8, "max_examples": None}
LONG_ENOUGH = {
    "mini/mnli": {"max_steps": 150, "max_examples": None},
    "mini/squad_v1": {"max_steps": 220, "max_examples": None},
    "mini/udpos": {"max_steps": 25, "batch_size": 16, "max_examples": None},
    "mini/commonsenseqa": {"max_steps": 200, "batch_size": 16, "max_examples": None},
    "pairs": {"max_steps": 60, "batch_size": 64, "max_examples": None},
    "words": {"max_steps": 150, "max_examples": None},
    "target/mini/panx": {"max_steps": 25, "batch_size": 16, "max_examples": None},
}


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Flags of a random-weight encoder of one layer, recipes, and tasks on the parallel text and raw text of one language."""
    folder = tmp_path_factory.mktemp("start")
    words = [form for lang in world().languages for form in lexicon(lang).values()]
    init_scratch(CONFIG, tokenizer=train_tokenizer(words, vocab_size=6000), folder=folder / "model", seed=1)
    (folder / "short.yaml").write_text(json.dumps({**RECIPE, "recipe": "short"}))
    (folder / "long.yaml").write_text(json.dumps({**RECIPE, "recipe": "long", "mixture": MIXTURE, "tasks": LONG_ENOUGH}))
    for name, like, lang in (("pairs", "ranking", "de"), ("words", "mlm_40", "en")):
        include = ROOT / "tasks" / "mini" / f"{like}.yaml"
        (folder / f"{name}.yaml").write_text(json.dumps({"include": [str(include)], "task": name, "train_languages": [lang]}))
    return f"--model {folder / 'model'} --include_path {folder}"


def run(arguments: str, root: Path, capsys: pytest.CaptureFixture[str]) -> dict:
    """The board of a run through the command line."""
    code = run_eval.main([*arguments.split(), "--output_path", str(root), "--device", "cpu", "--quiet"])
    shown = capsys.readouterr()
    assert code == 0, shown.err
    return json.loads((root / "leaderboard.json").read_text())


def scores(board: dict) -> dict[tuple[str, str], float]:
    """(task, intermediate setting) -> score."""
    return {(row["task"], row["intermediate"]): row["score"]["value"] for row in board["rows"]}


@pytest.mark.slow
def test_heads_of_every_kind_learn_english(start: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tasks = "mini/xnli,mini/xquad,mini/udpos,mini/commonsenseqa"
    found = scores(run(f"{start} --recipe long --tasks {tasks} --languages en", tmp_path, capsys))
    for task, least in (("mini/xnli", 41), ("mini/xquad", 15), ("mini/udpos", 50), ("mini/commonsenseqa", 35)):
        assert found[task, "none"] > least > CATALOG.task(task).spec.chance, (task, found)


@pytest.mark.slow
def test_translations_are_found_and_masked_words_guessed_after_training(
    start: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = f"{start} --recipe long --tasks mini/tatoeba,mini/bucc2018 --languages de --intermediate none,pairs,words --limit 50"
    found = scores(run(flags, tmp_path, capsys))
    assert max(value for (_, setting), value in found.items() if setting == "none") < 20
    assert min(value for (_, setting), value in found.items() if setting == "pairs") > 80
    (facts,) = (json.loads(path.read_text()) for path in tmp_path.glob("train/*+words-*/train.json"))
    counts = Counter(word for row in mini.rows(config="raw_text", split="train", lang="en") for word in row["text"].split())
    total = sum(counts.values())
    by_frequency = -sum(count / total * math.log(count / total) for count in counts.values())
    assert facts["final_loss"] < 0.95 * by_frequency


def test_a_target_learns_after_a_mixture(start: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    setting = "mini/udpos+mini/commonsenseqa+mini/mlm_40"
    board = run(f"{start} --recipe long --tasks mini/panx --languages en --intermediate {setting}", tmp_path, capsys)
    assert scores(board)["mini/panx", setting] > 50 > CATALOG.task("mini/panx").spec.chance
    (facts,) = (json.loads(path.read_text()) for path in tmp_path.glob("train/*/train.json") if "mixture" in path.read_text())
    assert min(part["steps"] for part in facts["mixture"].values()) > 0
    assert facts["mixture"]["mini/mlm_40"]["examples"] > 2000


@pytest.mark.slow
def test_every_miniature_trains_predicts_and_scores(start: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = f"{start} --recipe short --tasks mini_xtreme,mini_intermediate --languages en,de --limit 3"
    board = run(f"{flags} --intermediate mini/mnli@de:mini/hellaswag@sw", tmp_path, capsys)
    assert {row["task"] for row in board["rows"]} == set(CATALOG.select("mini_xtreme,mini_intermediate"))
