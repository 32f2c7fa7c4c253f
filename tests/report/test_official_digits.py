"""One run scored by the score stage, on the board, as a submission and by the arithmetic of the official scripts."""

import itertools
import json
import math
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from written_runs import WrittenRun, task

from harness.api.protocols import Json
from harness.api.registry import METRICS
from harness.report.board.board import build_board
from harness.report.submission.score import SubmissionScores, score_submission
from harness.report.submission.xtreme_format import TASKS
from harness.scoring.score import score_value

WORDS = ["the", "old", "house", "by", "sea", "hill", "a", "river", "das", "haus", "am", "fluss", "5", "7", "two"]
QUESTIONS = {"mlqa": 300, "xquad": 120, "tydiqa": 77}
SEEDS = (2, 3, 10, 11)  # by number, not as text


def cell_lines(name: str, lang: str, seed: int) -> list[dict[str, Any]]:
    """Answers to questions whose ids are in no order."""
    asked, rng = random.Random(f"{name} {lang}"), random.Random(f"{name} {lang} {seed}")
    found = []
    for number in range(QUESTIONS[name]):
        gold = [" ".join(asked.choices(WORDS, k=asked.randint(1, 9))) for _ in range(asked.randint(1, 2))]
        answer = " ".join(word for word in rng.choice(gold).split() if rng.random() < 0.6) or rng.choice(WORDS)
        line = {"id": f"{asked.getrandbits(40):010x}-{number}", "lang": lang, "gold": gold, "prediction": answer}
        found.append({**line, "notes": [], "num_truncated": 0})
    return found


@pytest.fixture(scope="module", params=list(QUESTIONS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def board(name: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Json]:
    key = f"{TASKS[name].metric}.f1"
    run = WrittenRun(tmp_path_factory.mktemp(name), tasks={name: task(*TASKS[name].languages, kind="span_qa", score=(key,))})
    for lang, seed in itertools.product(TASKS[name].languages, SEEDS):
        run.cell("none", name, lang, seed=seed, given=cell_lines(name, lang, seed))
    run.write()
    return build_board([run.root])


def submission(name: str, seed: int, root: Path) -> SubmissionScores:
    """The same predictions as XTREME's files, the answers of each in another order."""
    for lang in TASKS[name].languages:
        lines = cell_lines(name, lang, seed)
        asked = [{"id": line["id"], "question": "?", "answers": [{"text": text} for text in line["gold"]]} for line in lines]
        answers = {line["id"]: line["prediction"] for line in sorted(lines, key=lambda line: line["id"])}
        content = {"labels": {"data": [{"paragraphs": [{"context": "", "qas": asked}]}]}, "predictions": answers}
        for folder, text in content.items():
            path = TASKS[name].file(root / folder, lang)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(text), encoding="utf-8")
    return score_submission(root / "predictions", root / "labels")


def in_order(values: Sequence[float]) -> float:
    """As the scripts add up: `f1 += ...` over the questions, then over the languages."""
    total = 0.0
    for value in values:
        total += value
    return total


def official(name: str, lang: str, seed: int, add: Callable[[Sequence[float]], float] = in_order) -> float:
    """The last lines of XTREME's evaluate_squad.py and evaluate_mlqa.py: `100.0 * f1 / total`."""
    metric = METRICS.load(TASKS[name].metric)
    f1 = [metric.stats(line["prediction"], line["gold"], lang=lang)[1] for line in cell_lines(name, lang, seed)]
    return 100.0 * add(f1) / len(f1)


def test_each_language_has_the_digits_of_the_script_on_the_board_and_as_a_submission(
    name: str, board: dict[str, Json], tmp_path: Path
) -> None:
    key, (entry,) = f"{TASKS[name].metric}.f1", board["task_scores"]
    differing = 0
    for seed in SEEDS:
        submitted = submission(name, seed, tmp_path / f"{seed}").tasks[name]
        for lang in TASKS[name].languages:
            expected = official(name, lang, seed)
            (row,) = [row for row in board["rows"] if (row["lang"], row["seed"]) == (lang, seed)]
            shown = {one["seed"]: one["score"] for one in entry["languages"][lang]["seeds"]}
            alone = score_value(cell_lines(name, lang, seed), metrics=[key.split(".")[0]], score=[key], lang=lang)
            assert row["score"]["value"] == row["metrics"][key]["value"] == shown[seed] == alone == expected
            assert submitted.languages[lang].scores["f1"] == expected
            differing += expected != official(name, lang, seed, math.fsum)
    assert differing > 0  # a sum that is rounded once, or in another order, would be seen


def test_means_over_languages_have_the_digits_of_the_script(name: str, board: dict[str, Json], tmp_path: Path) -> None:
    (entry,) = board["task_scores"]
    languages = TASKS[name].languages
    for seed in SEEDS:
        expected = in_order([official(name, lang, seed) for lang in languages]) / len(languages)
        assert {one["seed"]: one["score"] for one in entry["seeds"]}[seed] == expected
        assert submission(name, seed, tmp_path / f"{seed}").tasks[name].mean["f1"] == expected
    both = [in_order([official(name, lang, seed) for seed in SEEDS]) / len(SEEDS) for lang in languages]
    assert entry["score"]["value"] == entry["metrics"][f"{TASKS[name].metric}.f1"] == in_order(both) / len(languages)


def test_the_order_of_the_cells_in_the_request_changes_no_digit(name: str, board: dict[str, Json], tmp_path: Path) -> None:
    key = f"{TASKS[name].metric}.f1"
    run = WrittenRun(tmp_path, tasks={name: task(*TASKS[name].languages, kind="span_qa", score=(key,))})
    for seed, lang in itertools.product(SEEDS[::-1], TASKS[name].languages[::-1]):
        run.cell("none", name, lang, seed=seed, given=cell_lines(name, lang, seed))
    run.write()
    assert build_board([tmp_path])["task_scores"] == board["task_scores"]
