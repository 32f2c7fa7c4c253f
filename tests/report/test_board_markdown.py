"""The printed page: what a reader is told, and that it stays readable with forty languages and many columns."""

import re
from pathlib import Path

import pytest
from printed_pages import too_wide, unbroken
from written_runs import WrittenRun, nli, task

from harness.api.errors import UserError
from harness.report.board.board import build_board, check_board
from harness.report.board.markdown import markdown
from harness.report.board.tables import WIDTH, Column, folded, in_blocks

GOLDEN = Path(__file__).with_name("golden_board.md")
XTREME_40 = (
    *("ar", "he", "vi", "id", "jv", "ms", "tl", "eu", "ml", "ta", "te", "af", "nl", "en", "de", "el", "bn", "hi", "mr", "ur"),
    *("fa", "fr", "it", "pt", "es", "bg", "ru", "ja", "ka", "ko", "th", "sw", "yo", "my", "zh", "kk", "tr", "et", "fi", "hu"),
)


def test_partial_degenerate_truncated_missing_and_overlapping_are_told(tmp_path):
    run = WrittenRun(tmp_path, tasks={"xnli": task("de", "fr")}, limit=90, synthetic=True)
    chain = [run.train_stage("xnli", degenerate="final loss 1.0986 is that of guessing")]
    run.cell("none", "xnli", "de", seed=1, right=30, total=90, truncated=4, missing=2, chain=chain)
    one_class = run.cell("none", "xnli", "fr", seed=1, right=1, total=1, chain=chain)
    run.extra["overlaps"] = [{"train": "mnli train", "test": "xnli", "lang": "de", "n": 37}]
    board = build_board([run.write()])
    assert board["synthetic"]
    assert [(row["partial"], row["limit"]) for row in board["rows"]] == [(True, 90)] * 2
    assert board["degenerate"] == [
        {"stage": chain[0].name, "why": "final loss 1.0986 is that of guessing", "cells": 2},
        {"stage": one_class.name, "why": "one class is predicted throughout", "cells": 1},
    ]
    page = unbroken(markdown(board))
    for text in (
        "**Synthetic world.**",
        "‡",
        "a seeded sample of at most 90 test rows a language: xnli.",
        "2 without a prediction (scored as wrong)",
        "4 truncated (12 tokens unseen)",
        f"Degenerate: final loss 1.0986 is that of guessing: {chain[0].name} (2 cells).",
        "Overlap: rows of mnli train occur in the test rows of xnli: de 37.",
        "Degenerate seeds: 1, replaced: 0.",
        "Degenerate: tiny + none (quick), xnli: seed 1 of 1.",
    ):
        assert text in page


def tokens(features, empty, text, unknown):
    return {"features": features, "empty_inputs": empty, "text_tokens": text, "unknown_tokens": unknown}


def test_languages_that_the_tokenizer_does_not_know_are_marked(tmp_path):
    run = WrittenRun(tmp_path, tasks={"tatoeba": task("de", "el", "sw", "th", trained=False)})
    told = {"de": tokens(200, 0, 1000, 100), "th": tokens(200, 0, 1000, 432), "sw": tokens(200, 21, 1000, 0), "el": None}
    for lang, facts in told.items():
        run.cell("none", "tatoeba", lang, facts=facts)
    board = build_board([run.write()])
    check_board(board)
    rows = {row["lang"]: row.get("tokens") for row in board["rows"]}
    assert rows["th"] == {"inputs": 200, "empty_inputs": 0, "tokens": 1000, "unknown": 432}
    assert rows["el"] is None
    page = unbroken(markdown(board))
    scores = dict(re.findall(r"^\| (de|el|sw|th) +\| +(\S+) ", page, flags=re.MULTILINE))
    assert {lang for lang, score in scores.items() if score.startswith("°")} == {"th", "sw"}
    assert len(scores) == 4
    assert "- ° tatoeba: sw 10 % empty inputs; th 43 % unknown tokens [tiny + none]." in page
    assert "° over 10 % of a language's text did not reach the model" in page
    assert re.search(r"\| none +\|[^|]+\| +°5", page)


def test_a_copy_of_a_stage_that_recorded_less_is_the_same_stage(tmp_path):
    """Folders that an older version wrote say nothing of tokens; what both say must agree."""
    folders = []
    for name, facts in (("old", None), ("new", tokens(200, 0, 1000, 432))):
        run = WrittenRun(tmp_path / name, tasks={"tatoeba": task("th", trained=False)})
        run.cell("none", "tatoeba", "th", facts=facts)
        folders.append(run.write())
    for order in (folders, folders[::-1]):
        assert build_board(order)["rows"][0]["tokens"]["unknown"] == 432
    run = WrittenRun(tmp_path / "other", tasks={"tatoeba": task("th", trained=False)})
    run.cell("none", "tatoeba", "th", facts=tokens(200, 0, 1000, 431))
    with pytest.raises(UserError, match="two results of the stage"):
        build_board([folders[1], run.write()])


def computed(device="cpu", dtype="float32", threads=1):
    return {"arithmetic": {"device": device, "dtype": dtype, "threads": threads, "processes": 1}}


def test_arms_that_were_computed_differently_are_told_apart(tmp_path):
    run = WrittenRun(tmp_path, tasks={"xnli": task("de"), "pawsx": task("de")})
    for name in run.tasks:
        run.cell("none", name, "de", seed=1, facts=computed())
        run.cell("mnli", name, "de", seed=1, facts=computed(threads=2 if name == "pawsx" else 1))
    board = build_board([run.write()])
    page = unbroken(markdown(board))
    told = "some of a difference may be rounding: tiny + none (quick) [cpu, float32, 1 thread]; tiny + mnli (quick)"
    assert f"pawsx: computed in different ways, so that {told} [cpu, float32, 2 threads]." in page
    assert "xnli: computed" not in page
    ways = [stage["arithmetic"] for name, stage in board["stages"].items() if name.startswith("predict/")]
    assert sorted(way["threads"] for (way,) in ways) == [1, 1, 1, 2]


def test_the_same_model_on_other_hardware_is_told_by_device_and_precision(tmp_path):
    run = WrittenRun(tmp_path, tasks={"xnli": task("de")})
    run.cell("none", "xnli", "de", seed=1, facts=computed())
    run.cell("mnli", "xnli", "de", seed=1, facts=computed(device="NVIDIA H100", dtype="bfloat16", threads=None))
    assert "[cpu, float32, 1 thread]; tiny + mnli (quick) [NVIDIA H100, bfloat16]." in unbroken(
        markdown(build_board([run.write()]))
    )


def test_layers_that_were_divided_among_devices_are_told(tmp_path):
    run = WrittenRun(tmp_path, tasks={"xnli": task("de")})
    whole, divided = computed(device="NVIDIA H100", threads=None), computed(device="NVIDIA H100", threads=None)
    divided["arithmetic"]["tensor_parallel_size"] = 4
    run.cell("none", "xnli", "de", seed=1, facts=whole)
    run.cell("mnli", "xnli", "de", seed=1, facts=divided)
    board = build_board([run.write()])
    check_board(board)
    page = unbroken(markdown(board))
    assert "[NVIDIA H100, float32]; tiny + mnli (quick) [NVIDIA H100, float32, layers on 4 devices]." in page


def test_the_page_names_the_pooling_of_embeddings(tmp_path):
    run = WrittenRun(tmp_path, tasks={"tatoeba": task("de", kind="retrieval", trained=False, chance=0.1)})
    run.cell("none", "tatoeba", "de", route="embedding")
    board = build_board([run.write()])
    assert board["task_scores"][0]["options"]["pooling"] == "mean"
    assert re.search(r"tatoeba of tiny: .*layer .*pooling 'mean'", unbroken(markdown(board)))


def test_golden_page(tmp_path):
    """The page as a reader sees it; keys of stages are masked."""
    page = re.sub(r"-[0-9a-f]{10}\b", "-KEY", markdown(build_board([nli(tmp_path).write()])))
    page = re.sub(r" +(?=\|)", " ", page)
    assert page == GOLDEN.read_text(encoding="utf-8")


def test_forty_languages_and_many_columns_stay_within_100_columns(tmp_path):
    tasks = {"panx": task(*XTREME_40, chance=0), **{f"a_long_task_name_{k}": task("en", "de") for k in range(9)}}
    run = WrittenRun(tmp_path, tasks=tasks, model="a-model-with-a-long-name")
    for intermediate in ("none", "mnli", "squad_v1", "qqp", "hellaswag", "masked_lm", "translated_qqp"):
        for name in tasks:
            for lang in tasks[name][0]["languages"] if intermediate in ("none", "mnli") or name != "panx" else XTREME_40[:12]:
                run.cell(intermediate, name, lang, seed=1, total=20, right=10, chain=[run.train_stage(f"{intermediate}+{name}")])
    page = markdown(build_board([run.write()]))
    tables = [line for line in page.splitlines() if line.startswith("|")]
    assert max(map(len, tables)) <= WIDTH == 100
    assert too_wide(page) == []
    languages = page.split("### panx")[1].split("###")[0]
    for lang in XTREME_40:
        assert re.search(rf"\| {lang}  ", languages)


def test_a_column_of_forty_languages_is_folded(tmp_path):
    run = WrittenRun(tmp_path, tasks={"panx": task(*XTREME_40, chance=0)})
    chain = [run.train_stage("none")]
    for lang in XTREME_40:
        run.cell("none", "panx", lang, seed=1, total=20, right=10, chain=chain)
    section = markdown(build_board([run.write()])).split("### panx")[1].split("##")[0]
    rows = [line for line in section.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + 14  # title, rule and 40 languages three abreast
    assert max(map(len, rows)) <= WIDTH
    assert [row.split("|")[1].strip() for row in rows[2:6]] == [
        "en",
        "af",
        "ar",
        "bg",
    ]  # downwards


def test_tables_are_folded_downwards_split_in_blocks_and_escaped():
    lang, score = Column("lang", [f"l{k}" for k in range(20)], left=True), Column("none", [str(k) for k in range(20)])
    lines = folded([lang, score], limit=40).splitlines()
    assert lines[0] == "| lang | none | lang | none |"
    assert lines[2] == "| l0   |    0 | l10  |   10 |"
    assert len(lines) == 12
    assert in_blocks([lang], [score, score], limit=20).count("| lang | none |") == 2
    assert in_blocks([Column("a", ["x|y"], left=True)], [Column("b", ["1"])]).splitlines()[2] == "| x\\|y |   1 |"
