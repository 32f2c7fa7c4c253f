"""Task files of lm-evaluation-harness, from the command line to the board, and what their names, files and code become."""

import json
import sys

import pytest
from small_lm_eval_tasks import NLI, write_folder
from small_tokenizers import byte_bpe

import run_eval
from harness.api.errors import UserError
from harness.api.registry import TASK_TYPES
from harness.data.examples import load_examples
from harness.data.locations import DataPlace
from harness.planning.catalog.catalog import Catalog
from harness.planning.plan import make_plan
from harness.planning.request import RunRequest
from harness.planning.routes import parse_prompt_args, prompt_of
from harness.runtime.machine import Machine

TRUSTED = DataPlace(trust_task_code=True, offline=True)


@pytest.fixture
def folder(tmp_path):
    return write_folder(tmp_path / "theirs")


def asked(folder, task, *, args="", place=TRUSTED):
    """The route of a task, its examples, and its spec."""
    catalog = Catalog([folder])
    spec = catalog.task(task).spec
    beside = catalog.folder("task", spec.task)
    settings = prompt_of(spec, parse_prompt_args(args))
    rows = [
        load_examples(spec, split=split, langs=spec.languages, place=place, task_folder=beside).examples
        for split in ("test", *(("train",) if settings.num_fewshot else ()))
    ]
    machine = Machine(place=place, task_folders=catalog.task_folders())
    module = TASK_TYPES.load(spec.type)
    pool = rows[1] if len(rows) > 1 else []
    return module.prompt_route(task=spec, prompt_args=settings, pool=pool, machine=machine, max_positions=None), rows[0], spec


def plan_of(folder, tasks, *, place=TRUSTED, prompt_args=""):
    request = RunRequest(model="oracle", tasks=tasks, prompt_args=prompt_args)
    return make_plan(request, catalog=Catalog([folder]), place=place)


def test_a_folder_runs_to_a_board_that_says_what_is_theirs(folder, tmp_path, capsys):
    command = ["--include_path", str(folder), "--tasks", "nli,quiz,ask_*", "--model", "oracle", "--trust_task_code", "--quiet"]
    assert run_eval.main([*command, "--output_path", str(tmp_path / "runs")]) == 0
    board = json.loads((tmp_path / "runs" / "leaderboard.json").read_text(encoding="utf-8"))
    assert board["task_order"] == [
        "lm_eval/nli_de", "lm_eval/nli::nli_sw", "lm_eval/nli::inner", "lm_eval/quiz", "lm_eval/ask_deu_Latn",
    ]  # fmt: skip
    rows = {row["task"]: row for row in board["rows"]}
    assert {row["score"]["value"] for row in rows.values()} == {100.0}
    assert {task: (row["lang"], row["counts"]["examples"]) for task, row in rows.items()} == {
        "lm_eval/nli_de": ("de", 3),
        "lm_eval/nli::nli_sw": ("sw", 2),
        "lm_eval/nli::inner": ("und", 3),
        "lm_eval/quiz": ("und", 2),
        "lm_eval/ask_deu_Latn": ("de", 2),
    }
    assert rows["lm_eval/nli::nli_sw"]["route"] == "prompt 1-shot, sampler lm_eval"
    assert sorted(rows["lm_eval/nli_de"]["metrics"]) == ["lm_eval_mean:acc.mean", "lm_eval_mean:acc_norm.mean"]
    assert sorted(rows["lm_eval/ask_deu_Latn"]["metrics"]) == [
        "lm_eval_mean:exact_match,number.mean",
        "lm_eval_mean:exact_match,strict.mean",
    ]
    assert board["groups"]["lm_eval/nli"]["aggregate"] == "mean_by_size"
    assert any("split that is scored" in note for note in board["tasks"]["lm_eval/nli::nli_sw"]["notes"])
    assert "lm_eval" not in sys.modules
    capsys.readouterr()
    assert run_eval.main([*command, "--output_path", str(tmp_path / "runs")]) == 0
    assert "10 done, 0 to do" in capsys.readouterr().err


def test_group_numbers_weigh_tasks_by_their_examples(folder, tmp_path):
    (folder / "nli/_nli.yaml").write_text(
        "group: nli\ntask: [nli_de, nli_sw]\naggregate_metric_list: [{metric: acc}]\n", encoding="utf-8"
    )
    command = ["--include_path", str(folder), "--tasks", "nli", "--model", "constant", "--quiet"]
    assert run_eval.main([*command, "--output_path", str(tmp_path / "runs")]) == 0
    board = json.loads((tmp_path / "runs" / "leaderboard.json").read_text(encoding="utf-8"))
    (group,) = board["group_scores"]
    assert [row["score"]["value"] for row in board["rows"]] == [pytest.approx(100 / 3), 50.0]  # the first choice: 1 of 3, 1 of 2
    assert group["score"]["value"] == pytest.approx(40.0)


def test_requests_are_made_as_lm_eval_makes_them(folder):
    route, rows, _ = asked(folder, "nli_de")
    assert [tuple(one) for one in route.requests(rows[2], task="t")] == [
        ("", " Das Buch ist 'neu'. , richtig? Ja, Es ist \"alt\"."),
        ("", " Das Buch ist 'neu'. , richtig? Nein, Es ist \"alt\"."),
    ]
    route, rows, _ = asked(folder, "nli::nli_sw")
    shot = route.requests(rows[0], task="t")[0].context
    assert shot == "Maelezo:  Anna schläft, richtig? Nein, Anna läuft.\n\n"  # the only other row
    route, rows, _ = asked(folder, "ask_deu_Latn")
    assert [tuple(one) for one in route.requests(rows[0], task="t")] == [("F: Wie viele? \nA: Antwort", None)]
    assert [row.gold for row in rows] == [["42", "zweiundvierzig"], ["Ada"]]
    route, rows, _ = asked(folder, "quiz")
    assert [tuple(one) for one in route.requests(rows[0], task="t")] == [("> Es regnet.", " ja"), ("> Es regnet.", " nein")]


def test_choices_may_be_the_questions(folder):
    route, rows, _ = asked(folder, "cloze")
    assert rows[0].inputs == 2
    assert [tuple(one) for one in route.requests(rows[1], task="t")] == [
        ("{{premise}}", "  Anna läuft."),
        ("Nein", "  Anna läuft."),
    ]
    tokenizer = byte_bpe(prefix_space=False)
    features = route.encode(rows[:1], task=Catalog([folder]).task("cloze").spec, tokenizer=tokenizer, options=None, train=False)
    assert [(feature.part, feature.info, len(feature.continuations)) for feature in features] == [(0, [0], 1), (1, [1], 1)]


def test_examples_before_a_question_are_the_file_s_unless_the_run_says_otherwise(folder):
    def told(task, args=""):
        return asked(folder, task, args=args)[0].prompt_args.num_fewshot

    assert (told("nli_de"), told("nli_de", "num_fewshot=2"), told("nli::nli_sw"), told("nli::nli_sw", "num_fewshot=0")) == (
        0,
        2,
        1,
        0,
    )
    path = folder / "nli/nli_de.yaml"
    path.write_text(path.read_text(encoding="utf-8") + "num_fewshot: 0\n", encoding="utf-8")
    assert told("nli_de", "num_fewshot=2") == 0
    path.write_text(
        path.read_text(encoding="utf-8").replace("num_fewshot: 0", "fewshot_config: {sampler: first_n}"), encoding="utf-8"
    )
    route, rows, _ = asked(folder, "nli_de", args="num_fewshot=2")
    contexts = [route.requests(row, task="t")[0].context for row in rows]
    shots = [f" {row['premise']}, richtig? {('Ja', 'Nein')[row['label']]}, {row['hypothesis']}\n\n" for row in NLI]
    assert contexts == [shots[1] + shots[2], shots[0] + shots[2], shots[0] + shots[1]]


def test_code_runs_only_where_it_is_trusted(folder):
    spec = Catalog([folder]).task("quiz").spec  # loads
    with pytest.raises(UserError) as caught:
        plan_of(folder, "quiz,nli_de", place=DataPlace(offline=True))
    text = str(caught.value)
    assert "code.prepare in" in text
    assert "quiz/code.py" in text
    assert "--trust_task_code" in text
    assert text.count("to do") == 1
    with pytest.raises(UserError, match="--trust_task_code"):
        load_examples(spec, split="test", langs=["und"], place=DataPlace(offline=True), task_folder=folder / "quiz")


@pytest.mark.parametrize("changed", ["code.py", "helper_of_quiz.py"])
def test_a_key_changes_with_the_code_and_with_what_it_imports(folder, changed):
    def key():
        return plan_of(folder, "quiz").cells[0].predict.key

    before = key()
    assert key() == before
    path = folder / "quiz" / changed
    path.write_text(path.read_text(encoding="utf-8") + "\n# changed\n", encoding="utf-8")
    assert key() != before


def test_a_key_changes_with_the_base_and_the_rows_but_not_with_words_about_it(folder):
    def key():
        return plan_of(folder, "nli_de").cells[0].predict.key

    before, base = key(), folder / "base/nli_base_yaml"
    text = base.read_text(encoding="utf-8")
    base.write_text(text.replace("tag: written", "tag: [written, other]\ntask_alias: Named"), encoding="utf-8")
    assert key() == before
    base.write_text(text.replace("richtig?", "wahr?"), encoding="utf-8")
    assert key() != before
    base.write_text(text, encoding="utf-8")
    assert key() == before
    (folder / "nli/de.jsonl").write_text(json.dumps(NLI[0]) + "\n", encoding="utf-8")
    assert key() != before
    assert plan_of(folder, "nli_de", prompt_args="num_fewshot=1").cells[0].predict.key != key()


def test_a_folder_that_moves_keeps_its_keys(folder, tmp_path):
    before = plan_of(folder, "quiz").cells[0].predict.key
    assert plan_of(write_folder(tmp_path / "elsewhere"), "quiz").cells[0].predict.key == before


def test_names_of_this_project_come_first_and_theirs_have_a_prefix(folder):
    (folder / "nli/xnli.yaml").write_text("group: xnli\ntask: [nli_de]\n", encoding="utf-8")
    catalog = Catalog([folder])
    assert catalog.select("xnli,lm_eval/xnli,nli_*,lm_eval/nli_sw,written") == ["xnli", "lm_eval/nli_de", "lm_eval/nli_sw"]
    assert catalog.remarks == ["'xnli' is the task of this project; lm-eval's is lm_eval/xnli"]
    assert "lm_eval/nli_de" not in catalog.names("task")
    assert catalog.folder("task", "lm_eval/nli_de") == folder / "nli"
    with pytest.raises(UserError, match="did you mean 'nli_de'"):
        catalog.select("nli_dd")


def test_our_files_and_theirs_may_lie_in_one_folder(folder):
    (folder / "mine.yaml").write_text("group: mine\nmembers: [xnli]\n", encoding="utf-8")
    catalog = Catalog([folder])
    assert catalog.errors == []
    assert "mine" in catalog.names("group")
    assert catalog.select("mine,nli_de") == ["xnli", "lm_eval/nli_de"]


def test_show_gives_lines_prompts_and_remarks(folder, capsys):
    assert run_eval.main(["show", "nli_de", "--include_path", str(folder)]) == 0
    out = capsys.readouterr().out
    assert "nli_base_yaml:9" in out
    assert "nli_de.yaml:4" in out
    assert "run as lm_eval/nli_de" in out
    assert "chance 50.0" in out
    assert '  then: " Es regnet., richtig? Ja, Es ist nass."' in out
    assert "scored on the split 'train': the file names no test split" in out
    assert "has no option 'high_is_better', which lm-eval runs over (did you mean 'higher_is_better'?)" in out
    assert run_eval.main(["show", "quiz", "--include_path", str(folder)]) == 0
    assert "no prompts: --tasks: lm_eval/quiz: Python code" in capsys.readouterr().out


def test_validate_finds_all_that_lm_eval_does_not(folder, capsys):
    (folder / "wrong.yaml").write_text(
        """include: base/nli_base_yaml
task: wrong
doc_to_txt: premise
doc_to_text: "{{ premise"
process_results: !function nothing.here
output_type: multiple_choice
dataset_kwargs: {data_files: nli/de.jsonl}
metric_list:
  - metric: accc
filter_list: [{name: one, filter: [{function: regexp}]}]
metadata: {version: 1.0}
""",
        encoding="utf-8",
    )
    assert run_eval.main(["validate", str(folder), "--specs_only"]) == 2
    captured = capsys.readouterr()
    for text in (
        "wrong.yaml:3 doc_to_txt: unknown key 'doc_to_txt'\n  to do: did you mean 'doc_to_text'?",
        "wrong.yaml:4 doc_to_text: the template of 'doc_to_text' is broken",
        "wrong.yaml:5 process_results: no Python file for 'nothing.here'",
        "unknown filter 'regexp'\n  to do: did you mean 'regex'?",
    ):
        assert text in captured.err
    assert "7 files checked, 4 errors" in captured.out


def test_validate_holds_a_file_against_its_rows(folder, capsys):
    path = folder / "nli/nli_de.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text + "doc_to_target: lable\ntask: nli_de\n", encoding="utf-8")
    assert run_eval.main(["validate", str(folder / "nli"), "--trust_task_code"]) == 2
    assert "'../base/nli_base_yaml' is outside of what this file may read" in capsys.readouterr().err
    assert run_eval.main(["validate", str(folder / "nli"), "--trust_task_code", "--allow_path", str(folder / "base")]) == 0
    err = capsys.readouterr().err
    assert "nli_de.yaml:7: key 'task' is written twice (first on line 3); the last counts" in err
    assert "'lable' is no column, so it stands for itself; did you mean 'label'?" in err
    assert "the right answer of 3 of 3 rows is none of their choices" in err
    path.write_text(text + 'doc_to_text: "{{premisse}}"\n', encoding="utf-8")
    assert run_eval.main(["validate", str(folder / "nli"), "--allow_path", str(folder / "base")]) == 2
    err = capsys.readouterr().err
    assert "nli_de.yaml:1" in err
    assert "'premisse' is undefined" in err


def test_validate_tells_every_wrong_row_with_its_file(folder, capsys):
    path = folder / "ask/ask.yaml"
    path.write_text(path.read_text(encoding="utf-8") + "doc_to_target: '{{answers.teTt[0]}}'\n", encoding="utf-8")
    assert run_eval.main(["validate", str(folder / "ask")]) == 2
    lines = capsys.readouterr().err.splitlines()
    wrong = [line for line in lines if "has no attribute 'teTt'" in line]
    assert len(wrong) == 2
    assert all("ask.yaml:1: task 'lm_eval/ask_deu_Latn', language" in line for line in wrong)


def test_ls_lists_them_with_what_cannot_be_run(folder, capsys):
    (folder / "unfit.yaml").write_text(
        "task: unfit\ndataset_path: a/b\ntest_split: test\ndoc_to_text: q\ndoc_to_target: a\n"
        "filter_list: [{name: own, filter: [{function: decontaminate}]}]\n",
        encoding="utf-8",
    )
    assert run_eval.main(["ls", "tasks", "--include_path", str(folder)]) == 0
    out = capsys.readouterr().out
    assert "lm_eval/nli_de" in out
    (line,) = [line for line in out.splitlines() if line.startswith("lm_eval/unfit")]
    assert "cannot be run" in line
    assert run_eval.main(["ls", "groups", "--include_path", str(folder)]) == 0
    assert "lm_eval/written" in capsys.readouterr().out


def test_a_limit_takes_the_same_rows_in_every_language(folder):
    (folder / "nli/sw.jsonl").write_text((folder / "nli/de.jsonl").read_text(encoding="utf-8"), encoding="utf-8")
    catalog = Catalog([folder])
    chosen = [
        [
            example.id
            for example in load_examples(
                spec, split="test", langs=spec.languages, place=TRUSTED, task_folder=folder / "nli", limit=2
            ).examples
        ]
        for spec in (catalog.task("nli_de").spec, catalog.task("nli_sw").spec)
    ]
    assert chosen[0] == chosen[1]
    assert len(chosen[0]) == 2
