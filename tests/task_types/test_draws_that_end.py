"""Draws of solved examples end, whatever the rows hold: no entities, one text, fewer rows or labels than are asked for."""

import json
from types import SimpleNamespace

import pytest
from small_tasks import write

import run_eval
from harness.api.errors import UserError
from harness.task_types.lm_eval_harness.sampler import SequentialDraws
from harness.task_types.prompting.few_shot import ShotPool, draw_shots

MODULE = SimpleNamespace(texts=lambda example: (example.text,))


def rows(*texts, gold="a"):
    return [SimpleNamespace(id=str(number), text=text, gold=gold) for number, text in enumerate(texts)]


@pytest.mark.parametrize("by_label", [False, True])
@pytest.mark.parametrize("texts", [(), ("x",), ("q",) * 50, ("x", "y", *["q"] * 50)])
def test_too_few_rows_are_an_error_and_no_loop(texts, by_label):
    question = SimpleNamespace(id="7", text="q", gold="b")
    with pytest.raises(UserError, match="not enough examples to show 3"):
        draw_shots(ShotPool(rows(*texts), by_label=by_label), question, k=3, module=MODULE, task="t", seed=0)


def test_a_label_without_rows_is_made_up_for_by_the_others():
    pool = ShotPool([*rows("x", "y", "z", "u", gold="a"), *rows("v", gold="b")], by_label=True)
    found = draw_shots(pool, SimpleNamespace(id="7", text="q", gold="c"), k=2, module=MODULE, task="t", seed=0)
    assert sorted(one.gold for one in found) == ["a", "b"]
    with pytest.raises(UserError, match="not enough examples to show 5"):
        draw_shots(pool, SimpleNamespace(id="7", text="v", gold="c"), k=5, module=MODULE, task="t", seed=0)


@pytest.mark.parametrize("by_label", [False, True])
def test_rows_with_other_texts_are_found_however_few_they_are(by_label):
    question = SimpleNamespace(id="7", text="q", gold="a")
    pool = ShotPool(rows("x", *["q"] * 300, "y", "z"), by_label=by_label)
    found = draw_shots(pool, question, k=3, module=MODULE, task="t", seed=0)
    assert sorted(one.text for one in found) == ["x", "y", "z"]


def test_the_draw_of_lm_eval_ends_too():
    pool, asked = [{"text": "q"}] * 3, [{"text": "q"}] * 4
    assert len(SequentialDraws(pool, asked, k=3, seed=1, without_own=False).of(3)) == 3
    with pytest.raises(UserError, match="not enough rows for 2 solved examples"):
        SequentialDraws(pool, asked, k=2, seed=1, without_own=True).of(3)
    with pytest.raises(UserError, match="not enough rows for 3 solved examples and one to spare"):
        SequentialDraws(pool, asked, k=3, seed=1, without_own=True)


@pytest.mark.parametrize("tag", ["O", "B-PER"])
def test_sentences_without_an_entity_are_shown_as_such(tag, tmp_path, capsys):
    task = {
        "task": "names",
        "type": "tagging",
        "description": "Names.",
        "languages": ["en"],
        "data": {split: {"files": {"rows": f"names-{split}.jsonl"}, "reader": "jsonl"} for split in ("train", "test")},
        "fields": {"tokens": "tokens", "tags": "tags"},
        "labels": ["O", "B-PER", "I-PER"],
        "prompt": {"context": "{{ tokens | join(' ') }} =>", "generate": {"form": "entities"}},
        "metrics": ["entity_f1"],
        "selection": "none",
    }
    write(tmp_path, task)
    for split in ("train", "test"):
        lines = [{"tokens": ["Ada", f"{split}{number}"], "tags": [tag, "O"]} for number in range(12)]
        (tmp_path / f"names-{split}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    flags = ["--include_path", str(tmp_path), "--prompt_args", "num_fewshot=8"]
    assert run_eval.main(["show", "names", *flags]) == 0
    shown = capsys.readouterr().out
    assert shown.count(" => none" if tag == "O" else " => PER: Ada") == 8
    more = ["--route", "prompt", "--output_path", str(tmp_path / "runs"), "--quiet"]
    assert run_eval.main(["--model", "oracle", "--tasks", "names", *flags, *more]) == 0
    assert run_eval.main(["show", "names", *flags[:2], "--prompt_args", "num_fewshot=13"]) == 2
    assert "not enough examples to show 13" in capsys.readouterr().err
