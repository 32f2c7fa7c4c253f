"""Comparisons of run folders as runs leave them: which cells are paired, which are not and why, rows, JSON and page."""

import json
import re
import shutil

import pytest
from printed_pages import too_wide, unbroken
from written_runs import WrittenRun, nli, seal_again, task

import run_eval
from harness.api.errors import UserError
from harness.report.board.board import build_board
from harness.report.comparison import Scope, compare, find_systems, markdown, write_comparison
from harness.report.comparison.systems import parse_selectors, split_run
from harness.runtime.stages import read_json, write_json
from harness.scoring.bootstrap import holm


def compared(*runs, a="", b="", tasks=(), languages=(), **how):
    sides = find_systems([str(run) for run in runs], a=a, b=b, scope=Scope(tasks=tasks, languages=languages))
    return compare(*sides, **{"samples": 200, **how})


def row(document, task, group=None, intermediate=None):
    (found,) = [
        r for r in document["rows"] if (r["task"], r["group"]) == (task, group) and intermediate in (None, r["b"]["intermediate"])
    ]
    return found


def reasons(document):
    return {(e["side"], e["task"], e["lang"], e["seed"]): e["reason"] for e in document["unpaired"]}


def test_one_run_sets_none_against_each_other_setting(tmp_path):
    run = nli(tmp_path, seeds=(1, 2), intermediates=("none", "mnli", "qqp")).write()
    document = compared(run)
    assert [(r["a"]["intermediate"], r["b"]["intermediate"], r["task"]) for r in document["rows"]] == [
        ("none", setting, name) for setting in ("mnli", "qqp") for name in ("xnli", "pairs", None)
    ]
    assert document["unpaired"] == []
    found = row(document, "xnli", intermediate="mnli")
    assert (found["score_a"], found["score_b"]) == (pytest.approx(71.5), pytest.approx(81.5))
    assert found["difference"]["value"] == pytest.approx(10)
    assert found["difference"]["low"] < 10 < found["difference"]["high"]
    assert found["gain"]["value"] == pytest.approx(100 * 10 / (100 - 71.5))
    assert (found["seeds"], found["num_examples"], found["num_items"]) == ([[1, 1], [2, 2]], 300, 100)
    assert (found["same_task"], found["missing"], found["significant"]) == (True, {}, True)
    over = row(document, None, intermediate="mnli")
    assert over["difference"]["value"] == pytest.approx((10 + 6.5) / 2)
    assert over["tasks"] == ["xnli", "pairs"]
    lifts = {e["task"]: e["lift"] for e in build_board([run])["task_scores"] if e["intermediate"] == "mnli"}
    assert set(lifts) == {"xnli", "pairs"}
    for name, lift in lifts.items():
        interval = row(document, name, intermediate="mnli")["difference"]
        assert interval["value"] == pytest.approx(lift["value"])
        assert interval["low"] == pytest.approx(lift["low"], abs=1)


def test_sides_that_were_computed_differently_are_told(tmp_path):
    def run(name, device):
        own = WrittenRun(tmp_path / name, model=name, tasks={"xnli": task("de")})
        way = {"device": device, "dtype": "bfloat16", "threads": None, "processes": 1}
        own.cell("none", "xnli", "de", seed=1, facts={"arithmetic": way})
        return own.write()

    cpu, gpu, same = run("one", "cpu"), run("two", "NVIDIA H100"), run("three", "cpu")
    document = compared(cpu, gpu)
    assert document["computed"] == {"A": ["cpu, bfloat16"], "B": ["NVIDIA H100, bfloat16"]}
    told = (
        "Computed in different ways, so that some of a difference may be rounding: A [cpu, bfloat16]; B [NVIDIA H100, bfloat16]."
    )
    assert told in unbroken(markdown(document))
    assert "Computed in different ways" not in unbroken(markdown(compared(cpu, same)))
    write_comparison(document, tmp_path / "comparison.json")


def test_all_rows_are_one_family(tmp_path):
    run = nli(tmp_path, intermediates=("none", "mnli", "qqp")).write()
    for by, number in (("task", 6), ("language", 10)):
        document = compared(run, by=by)
        assert document["tests"]["num_tests"] == len(document["rows"]) == number
        for test in ("randomisation", "bootstrap"):
            adjusted = holm([r[test]["p"] for r in document["rows"]])
            assert [r[test]["p_adjusted"] for r in document["rows"]] == adjusted
    assert compared(run, by="language", tasks=["xnli"], languages=["de", "s*"])["tests"]["num_tests"] == 4


def test_a_baseline_that_is_not_trained_serves_every_seed(tmp_path):
    document = compared(nli(tmp_path, seeds=(1, 2)).write(), by="language")
    found = row(document, "pairs", "de")
    assert found["seeds"] == [[None, 1], [None, 2]]
    assert found["difference"]["value"] == pytest.approx(6.5)
    assert found["a"]["recipe"] == "quick"  # it stands in the contrast of the trained ones
    assert not row(compared(nli(tmp_path / "y").write()), None)["uneven_seeds"]
    assert "## intermediate none → mnli\n" in markdown(compared(tmp_path, tasks=["pairs"]))  # nor do they differ in the recipe


def test_two_runs_are_compared_setting_by_setting(tmp_path):
    small = nli(tmp_path / "small", seeds=(1, 2)).write()
    large = nli(tmp_path / "large", model="large", seeds=(1, 3), intermediates=("none", "mnli", "qqp")).write()
    document = compared(small, large)
    assert {(r["a"]["model"], r["b"]["model"], r["a"]["intermediate"], r["b"]["intermediate"]) for r in document["rows"]} == {
        ("tiny", "large", setting, setting) for setting in ("none", "mnli")
    }
    assert {tuple(map(tuple, r["seeds"])) for r in document["rows"] if r["task"] == "xnli"} == {((1, 1),)}
    told = reasons(document)
    assert told["A", "xnli", "de", 2] == "B was not run with seed 2 (its seeds: 1, 3)"
    assert told["B", "xnli", "de", 3] in ("A was not run with seed 3 (its seeds: 1, 2)", "A has no intermediate qqp")
    assert {e["reason"] for e in document["unpaired"] if e["intermediate"] == "qqp"} == {"A has no intermediate qqp"}
    # A seed named on both sides is compared with the other.
    crossed = compared(f"{small}:intermediate=mnli,seed=2", f"{large}:intermediate=mnli,seed=3", tasks=["xnli"])
    assert [r["seeds"] for r in crossed["rows"]] == [[[2, 3]]]


def test_selectors_say_what_the_sides_are(tmp_path):
    run = nli(tmp_path, intermediates=("none", "mnli", "qqp")).write()

    def sides(*words, **how):
        return {(r["a"]["intermediate"], r["b"]["intermediate"]) for r in compared(*words, **how)["rows"]}

    assert sides(run, b="intermediate=mnli") == {("none", "mnli")}
    assert sides(run, a="intermediate=mnli") == {("mnli", "none"), ("mnli", "qqp")}
    assert sides(run, a="intermediate=mnli", b="intermediate=q*") == {("mnli", "qqp")}
    assert sides(f"{run}:intermediate=qqp", f"{run}:intermediate=mnli,intermediate=none") == {("qqp", "mnli"), ("qqp", "none")}
    assert sides(f"{run}:intermediate=none", run) == {("none", "mnli"), ("none", "qqp")}
    assert sides(f"{run}:intermediate=none,intermediate=qqp") == {("none", "qqp")}
    assert split_run("runs/x:intermediate=a:b,seed=1")[1] == {"intermediate": ("a:b",), "seed": ("1",)}
    assert parse_selectors("intermediate=a+b, seed=1,seed=2", where="") == {"intermediate": ("a+b",), "seed": ("1", "2")}


def test_two_models_of_one_run(tmp_path):
    small, large = nli(tmp_path, model="small"), nli(tmp_path, model="large")
    small.write("0")
    large.write("1")
    document = compared(tmp_path, a="model=small", b="model=large", by="language")
    assert {(r["a"]["intermediate"], r["b"]["intermediate"]) for r in document["rows"]} == {("none", "none"), ("mnli", "mnli")}
    assert {r["b"]["model"] for r in compared(tmp_path)["rows"]} == {"small", "large"}  # none against mnli within each
    assert "model small → large (intermediate mnli)" in markdown(document)
    assert "intermediate none → mnli (model large)" in markdown(compared(tmp_path))


def odd_runs(tmp_path):
    """Two runs that agree in xnli/de alone; each other cell lacks its partner for a reason of its own."""
    spec = task("de", "fr", "sw", "th", "ur")
    a = WrittenRun(tmp_path / "a", tasks={"xnli": spec, "only_a": task("de"), "changed": task("de")})
    b = WrittenRun(tmp_path / "b", tasks={"xnli": spec, "changed": task("de", version=2)}, model="other")
    for run in (a, b):
        run.cell("none", "xnli", "de", seed=1, right=60)
        run.cell("none", "xnli", "fr", seed=1, right=60, first=0 if run is a else 5)
        run.cell("none", "xnli", "sw", seed=1, finished=run is a)
        score = run.cell("none", "xnli", "ur", seed=1)
        run.cell("none", "changed", "de", seed=1)
        if run is b:
            args = run.root / score.inputs[0].name / "args.json"
            content = read_json(args)
            write_json(args, {**content, "args": {**content["args"], "data": "other rows"}})
            seal_again(args.parent)
    a.cell("none", "xnli", "th", seed=1)
    a.cell("none", "only_a", "de", seed=1)
    return a.write(), b.write()


def test_what_cannot_be_compared_is_listed_with_the_reason(tmp_path):
    document = compared(*odd_runs(tmp_path), by="language")
    assert [(r["task"], r["group"]) for r in document["rows"]] == [("xnli", "de")]
    assert reasons(document) == {
        ("A, B", "xnli", "fr", 1): "other test examples (100 in A, 100 in B)",
        ("A, B", "xnli", "sw", 1): "B: not finished",
        ("A", "xnli", "th", 1): "B lacks the language",
        ("A, B", "xnli", "ur", 1): "other test data: fingerprint rows-xnli-ur in A, other rows in B",
        ("A", "only_a", "de", 1): "B lacks the task",
        ("A, B", "changed", "de", 1): "the task's version differs: 1 in A, 2 in B",
    }
    page = markdown(compared(*odd_runs(tmp_path), by="task"))
    assert "xnli: without fr, sw, th, ur." in page
    assert re.search(r"\| xnli\* \| +1 of 5 \|", page)
    assert "- A: xnli in th, seed 1 (tiny + none): B lacks the language." in page
    with pytest.raises(UserError, match="no cell of A can be compared") as told:
        compared(*odd_runs(tmp_path), languages=["fr"])
    assert "other test examples" in str(told.value)


def test_groups_of_languages(tmp_path):
    coverage = {"languages": ["de", "en", "th"], "source": "a paper", "evidence": "R"}
    spec = task("de", "en", "fr", "sw", "th")
    run = WrittenRun(tmp_path, tasks={"xnli": spec, "other": task("sw", "th")}, sizes={"coverage": coverage})
    for name, langs in (("xnli", ("de", "en", "sw", "th")), ("other", ("sw", "th"))):
        for number, lang in enumerate(langs):
            run.cell("none", name, lang, seed=1, right=50, draw=lang)
            run.cell("mnli", name, lang, seed=1, right=54 + 2 * number, draw=lang)
    run.write()
    document = compared(run.root, by="covered")
    assert [(r["task"], r["group"], r["languages"]) for r in document["rows"]] == [
        ("xnli", "covered", ["de", "th"]),
        ("xnli", "not covered", ["sw"]),
        ("other", "covered", ["th"]),
        ("other", "not covered", ["sw"]),
        (None, "covered", ["de", "th"]),
        (None, "not covered", ["sw"]),
    ]
    assert row(document, "xnli", "not covered")["missing"] == {"xnli": ["fr"]}
    assert row(document, "xnli", "covered")["difference"]["value"] == pytest.approx((4 + 10) / 2)
    assert row(document, None, "covered")["difference"]["value"] == pytest.approx(((4 + 10) / 2 + 6) / 2)
    script = compared(run.root, by="script")
    assert {r["group"] for r in script["rows"]} == {"Latn", "Thai"}
    assert row(script, "xnli", "Latn")["languages"] == ["de", "sw"]  # no English
    assert row(compared(run.root, by="family"), "xnli", "Kra-Dai")["difference"]["value"] == pytest.approx(10)
    assert "en" in row(compared(run.root), "xnli")["languages"]


def test_two_backbones_that_cover_other_languages(tmp_path):
    runs = []
    for name, langs in (("a", ["de", "fr"]), ("b", ["de", "sw"])):
        sizes = {"coverage": {"languages": langs, "source": "a paper", "evidence": "R"}}
        run = WrittenRun(tmp_path / name, tasks={"xnli": task("de", "fr", "sw", "th")}, model=name, sizes=sizes)
        for lang in ("de", "fr", "sw", "th"):
            run.cell("none", "xnli", lang, seed=1)
        runs.append(run.write())
    assert {r["group"]: r["languages"] for r in compared(*runs, by="covered")["rows"]} == {
        "covered": ["de"],
        "covered in A, not covered in B": ["fr"],
        "not covered": ["th"],
        "not covered in A, covered in B": ["sw"],
    }


def test_the_json_is_checked_repeats_itself_and_names_no_place(tmp_path):
    texts = []
    for name in ("one", "two"):
        document = compared(nli(tmp_path / name / "run", seeds=(1, 2)).write(), by="family")
        write_comparison(document, tmp_path / f"{name}.json")
        texts.append((tmp_path / f"{name}.json").read_text(encoding="utf-8"))
    assert texts[0] == texts[1]
    assert str(tmp_path) not in texts[0]
    document["rows"][0]["randomisation"]["p"] = 1.5
    with pytest.raises(UserError, match=r"comparison \$.rows\[0\].randomisation.p"):
        write_comparison(document, tmp_path / "wrong.json")
    assert not (tmp_path / "wrong.json").exists()


def test_the_page_tells_how_to_read_it_and_fits_a_terminal(tmp_path):
    run = nli(tmp_path, intermediates=("none", "mnli"), limit=100, synthetic=True).write()
    page = unbroken(markdown(compared(run, by="language")))
    for text in (
        "**Synthetic world.**",
        "## intermediate none → mnli",
        "| xnli†‡ | de   | 100 | 71.0 | 81.0 |",
        "share of the points left to win: (B − A) / (100 − A)",
        "p adjusted for all rows of this table (5)",
        "‡ a sample of the test rows (--limit).",
    ):
        assert text in page
    tables = [line for line in page.splitlines() if line.startswith("|")]
    assert [" ".join(line.split()) for line in tables if line.startswith("| task")] == [
        "| task | lang | n | A | B | B − A | p | Holm | differ |",
        "| task | lang | gain | p boot | Holm |",
    ]
    assert too_wide(markdown(compared(run, by="language"))) == []
    assert "the least adjusted p is about 0.45" in unbroken(markdown(compared(run, by="language", samples=10)))


def test_thresholds_are_said_to_be_given(tmp_path):
    tasks = {
        "xquad": task("de", kind="span_qa", score=("squad.f1",)),
        "theirs": task("de", kind="lm_eval", score=("lm_eval_mean:acc.mean",)),  # it prepares, but chooses nothing
        "mined": task("de"),
    }
    answers = WrittenRun(tmp_path, tasks=tasks)
    answers.tasks["mined"][0]["type"] = "bitext_mining"
    for name in tasks:
        for setting in ("none", "mnli"):
            answers.cell(setting, name, "de", seed=1)
    document = compared(answers.write())
    assert {name for name, told in document["tasks"].items() if told["thresholds"]} == {"mined"}
    assert "mined: its thresholds are taken as given" in markdown(document)


def test_the_number_of_samples_follows_the_rows(tmp_path):
    run = nli(tmp_path, intermediates=("none", "mnli")).write()
    assert compared(run, samples=None, tasks=["pairs"])["tests"]["samples"] == 2000
    assert compared(run, samples=300)["tests"]["samples"] == 300


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["{run}", "--b", "intermediat=mnli"], ["unknown selector 'intermediat'", "did you mean 'intermediate'?"]),
        (["{run}:modle=tiny"], ["unknown selector 'modle'", "did you mean 'model'?"]),
        (["{run}", "--b", "intermediate=mnly"], ["B, ", "no cell has the intermediate 'mnly'", "did you mean 'mnli'?"]),
        (["{run}", "--b", "mnli"], ["no selector", "intermediate=mnli,seed=1"]),
        (["{run}", "--b", "model=tiny"], ["what is B set against?", "--a"]),
        (["{run}", "--tasks", "xnly"], ["no cell has the task 'xnly'", "did you mean 'xnli'?"]),
        (["{run}", "--languages", "xx"], ["no cell has the lang 'xx'"]),
        (["{run}:intermediate=none"], ["there is nothing but A in this run"]),
        (["{run}", "{run}"], ["A and B are the same cells"]),
        (["{run}", "{run}", "{run}"], ["more than two systems"]),
        (["{run}", "--samples", "0"], ["--samples", "at least 1"]),
        (["/nowhere"], ["no run here"]),
        (["{run}", "--by", "langauge"], ["invalid choice"]),
    ],
)
def test_what_is_wrong_on_the_command_line_is_said(tmp_path, capsys, words, expected):
    run = nli(tmp_path).write()
    try:
        code = run_eval.main(["compare", *(word.format(run=run) for word in words)])
    except SystemExit as left:
        code = left.code
    said = capsys.readouterr()
    assert (code, said.out) == (2, "")
    assert [text for text in expected if text not in said.err] == []


def test_the_command_prints_the_page_and_writes_the_json(tmp_path, capsys):
    run = nli(tmp_path / "run").write()
    assert run_eval.main(["compare", str(run), "--samples", "100", "--output", str(tmp_path / "c.json")]) == 0
    said = capsys.readouterr()
    document = json.loads((tmp_path / "c.json").read_text(encoding="utf-8"))
    assert said.out == markdown(document) + "\n"
    assert said.err == f"comparison: {tmp_path / 'c.json'}\n"


def test_statistics_that_were_edited_are_refused(tmp_path):
    run = nli(tmp_path)
    scores = sorted((run.write() / "score").iterdir())
    shutil.copy(scores[0] / "score.json", scores[-1] / "score.json")
    seal_again(scores[-1])
    with pytest.raises(UserError, match="do not belong together"):
        compared(run.root)


@pytest.mark.parametrize(("ours", "theirs"), [((1, 2), (None,)), ((1, 2), (7,)), ((1,), (7, 8, 9)), ((1, 2), (1,))])
def test_a_fine_tuned_setting_stands_against_a_prompted_one_whatever_the_seeds(tmp_path, ours, theirs):
    run = WrittenRun(tmp_path, tasks={"xnli": task("de", "sw")})
    for lang in ("de", "sw"):
        for seed in ours:
            run.cell("none", "xnli", lang, seed=seed, right=60 + seed)
        for seed in theirs:
            chain = [] if seed is None else None
            run.cell("none", "xnli", lang, seed=seed, chain=chain, route="prompt zero-shot", right=40 + (seed or 0))
    run.write()
    found = compare(*find_systems([str(tmp_path)], a="route=head", b="route=prompt*"))
    (row,) = found["rows"]
    assert found["unpaired"] == []
    assert row["score_a"] == pytest.approx(60 + sum(ours) / len(ours))
    assert row["score_b"] == pytest.approx(40 + sum(seed or 0 for seed in theirs) / len(theirs))
    with pytest.raises(UserError, match='--a "route=head" --b "route=prompt zero-shot"'):
        find_systems([str(tmp_path)])
