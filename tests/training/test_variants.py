"""Training variants: what --intermediate may say, which stages it makes, and small runs of them."""

import json

import pytest
import torch
from safetensors.torch import load_file
from small_runs import Project, differences, run_in_child

from harness.api.errors import UserError
from harness.planning.catalog.catalog import Catalog
from harness.planning.intermediate import parse_settings
from harness.report.record.writer import write_request
from harness.runtime.stages import read_json

CATALOG = Catalog()
GERMAN = {"data": {"files": {"rows": "pairs-train-{lang}.jsonl"}, "reader": "jsonl"}}


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """With translated rows of `pairs`, a copy of it with other labels, and words of two languages to mask."""
    made = Project.make(tmp_path_factory.mktemp("project"))
    pairs = json.loads((made.folder / "pairs.yaml").read_text())
    pairs["data"]["translated"] = GERMAN["data"]
    (made.folder / "pairs.yaml").write_text(json.dumps({**pairs, "translated_languages": ["de"]}))
    copy = {
        "task": "copies",
        "fields": pairs["fields"],
        "labels": pairs["labels"],
        "type": "classification",
        "description": "a copy",
    }
    rows = {split: {**GERMAN["data"], "files": {"rows": f"pairs-{split}-en.jsonl"}} for split in ("train", "validation")}
    (made.folder / "copies.yaml").write_text(json.dumps({**copy, "data": rows, "metrics": ["accuracy"]}))
    words = {"task": "words", "type": "masked_lm", "description": "two languages", "fields": {"text": "a"}, "selection": "none"}
    source = {"train": {**GERMAN["data"]}}
    several = {"train_languages": ["en", "de"], "language_alpha": 0.3, "data": source}
    (made.folder / "words.yaml").write_text(json.dumps({**words, **several}))
    recipe = json.loads((made.folder / "tiny.yaml").read_text())
    recipe |= {"mixture": {"max_steps": 12}, "with_masked_lm": {"learning_rate": 5e-4}, "tasks": {"words": {"batch_size": 4}}}
    (made.folder / "tiny.yaml").write_text(json.dumps(recipe))
    return made


def names(text):
    return [[[c.name for c in phase.components] for phase in s.phases] for s in parse_settings(text, catalog=CATALOG)]


def test_settings_name_tasks_mixtures_phases_and_translations():
    assert names("none,mnli") == [[], [["mnli"]]]
    assert names("mnli+qqp+mlm") == [[["mnli", "qqp", "mlm"]]]
    assert names("mlm:mnli+qqp") == [[["mlm"], ["mnli", "qqp"]]]
    assert names("mnli@de") == [[["mnli@de"]]]
    members = CATALOG.group_tasks("intermediate")
    assert names("intermediate") == [[[name]] for name in members]
    assert names("+intermediate") == [[members]]
    assert names("intermediate+mlm") == [[[*members, "mlm"]]]


def test_the_same_mixture_in_another_order_is_one_setting():
    assert [s.name for s in parse_settings("mnli+qqp,qqp+mnli,qqp+mnli~uniform", catalog=CATALOG)] == [
        "mnli+qqp",
        "qqp+mnli~uniform",
    ]


def test_all_mistakes_of_settings_come_out_together():
    with pytest.raises(UserError) as caught:
        parse_settings(
            "mnil,mnli+qpq,mnli@xx,mnli@fi,mnli+,qqp~uniform,mnli+qqp~even,mnli+qqp~temperature=0,tatoeba", catalog=CATALOG
        )
    said = str(caught.value)
    for part in (
        "unknown task 'mnil'",
        "did you mean 'mnli'",
        "unknown task 'qpq'",
        "unknown language 'xx'",
        "no translated rows in 'fi'",
        "'mnli+' names no task",
        "nothing to sample",
        "unknown sampling '~even'",
        "the temperature must be a number above 0",
        "task 'tatoeba' has no training rows",
    ):
        assert part in said


def stages(project, setting, task="pairs", **request):
    plan, _ = project.plan(tasks=task, intermediate=setting, **request)
    return next(cell for cell in plan.cells if cell.intermediate != "none").train


def test_a_mixture_is_one_stage_whose_key_does_not_depend_on_the_order(project):
    first, target = stages(project, "pairs+tags")
    again, _ = stages(project, "tags+pairs")
    assert first.key == again.key
    assert [c.task for c in first.args.tasks] == ["pairs", "tags"]
    assert target.inputs == (first,)
    assert first.args.training["max_steps"] == 12
    assert "sampling" not in target.args.training


def test_a_mixture_takes_its_own_values_and_each_task_its_batch(project):
    first, _ = stages(project, "pairs+words~temperature=2")
    assert {"sampling": "temperature", "sampling_temperature": 2.0, "learning_rate": 5e-4}.items() <= first.args.training.items()
    assert [c.own.get("batch_size") for c in first.args.tasks] == [None, 4]
    assert [c.spec.get("language_alpha") for c in first.args.tasks] == [None, 0.3]


def test_phases_follow_each_other_and_share_what_they_begin_with(project):
    one = stages(project, "words:pairs", task="tags")
    assert [[c.task for c in stage.args.tasks] for stage in one] == [["words"], ["pairs"], ["tags"]]
    assert one[1].inputs == (one[0],)
    assert one[0].key == stages(project, "words", task="tags")[0].key


def test_translated_rows_stand_in_for_the_english_ones(project):
    (component,) = stages(project, "pairs@de", task="tags")[0].args.tasks
    assert (component.task, component.head, component.spec["train_languages"]) == ("pairs@de", "pairs", ["de"])
    assert component.validation.spec.get("train_languages", ["en"]) == ["en"]
    plan, _ = project.plan(tasks="tags", intermediate="pairs@de+pairs")
    mixed = plan.cells[0].train[0].args.tasks
    assert [c.task for c in mixed if c.validation] == ["pairs"]


def test_heads_are_fresh_unless_the_recipe_says_otherwise(project, tmp_path):
    recipe = json.loads((project.folder / "tiny.yaml").read_text())
    (project.folder / "again.yaml").write_text(json.dumps({**recipe, "recipe": "again", "target": {"reuse_head": True}}))
    fresh = stages(project, "pairs")[1]
    reused = stages(project, "pairs", recipe="again")[1]
    assert fresh.args.tasks[0].reuse_head is None
    assert reused.args.tasks[0].reuse_head == "pairs"
    assert stages(project, "copies", recipe="again")[1].args.tasks[0].reuse_head == "copies"
    assert stages(project, "tags", recipe="again")[1].args.tasks[0].reuse_head is None
    from harness.training.loop import train
    from harness.training.setup import prepare

    first = stages(project, "copies", recipe="again")
    _, machine = project.plan(tasks="pairs")
    train(first[0], root=tmp_path, machine=machine)
    kept = load_file(first[0].folder(tmp_path) / "checkpoint/heads.safetensors")
    found = dict(prepare(first[1], root=tmp_path, machine=machine).module.heads.named_parameters())
    assert torch.equal(found["pairs.output.weight"], kept["copies.output.weight"])
    made = prepare(stages(project, "copies")[1], root=tmp_path, machine=machine)
    assert not torch.equal(dict(made.module.heads.named_parameters())["pairs.output.weight"], kept["copies.output.weight"])


def test_what_a_setting_sees_of_other_languages_is_declared(project, tmp_path):
    plan, _ = project.plan(tasks="tags", intermediate="none,pairs,pairs+words,pairs@de,nearest:pairs")
    declared = read_json(write_request(plan, catalog=Catalog([project.folder]), root=tmp_path))["declared"]
    assert declared == {
        "pairs": "English only",
        "pairs+words": "words: unlabelled text in de",
        "pairs@de": "pairs: labelled text machine-translated into de",
        "nearest:pairs": "nearest: parallel text in de",
    }


def test_a_mixture_trains_every_head_and_says_how_much(project, tmp_path):
    report = project.run(tmp_path, tasks="tags", intermediate="pairs+quiz+words", languages=("en",))
    assert not report.failed
    folder = next(tmp_path.glob("train/*+pairs+quiz+words-seed1-*"))
    facts = read_json(folder / "train.json")
    assert facts["steps"] == 12
    assert sum(part["steps"] for part in facts["mixture"].values()) == 12
    assert facts["mixture"]["words"]["examples"] == 80
    assert facts["selection"] == "mean of English validation of pairs"
    heads = {name.split(".")[0] for name in load_file(folder / "checkpoint/heads.safetensors")}
    assert heads == {"pairs", "quiz", "words"}
    log = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in log if "english_score" in line] == [3, 6, 9, 12]


@pytest.mark.slow
def test_a_mixture_killed_anywhere_ends_with_the_same_bytes(project, tmp_path):
    how = {"tasks": "tags", "intermediate": "pairs+words", "languages": ("en",)}
    assert not project.run(tmp_path / "whole", **how).failed
    for change in (25, 60):
        run_in_child(project, tmp_path / "killed", die_at=change, **how)
    assert not project.run(tmp_path / "killed", **how).failed
    assert differences(tmp_path / "whole", tmp_path / "killed") == []


@pytest.mark.long
def test_a_seed_that_learns_nothing_is_replaced_in_all_settings_of_its_task_and_never_silently(tmp_path, capsys):
    """With a tiny learning rate for English pairs every seed is degenerate: three others are tried, and all are listed."""
    import run_eval

    made = Project.make(tmp_path / "project", tasks="pairs,tags")
    recipe = json.loads((made.folder / "tiny.yaml").read_text())
    recipe["tasks"] = {"target/pairs": {"learning_rate": 1e-9}, "tags": {"learning_rate": 0.02, "max_steps": 30}}
    (made.folder / "tiny.yaml").write_text(json.dumps(recipe))
    root = tmp_path / "runs"
    words = f"--model {made.model} --tasks pairs,tags --intermediate none,tags --recipe tiny --seeds 1,2 --languages en --quiet"
    code = run_eval.main([*words.split(), "--include_path", str(made.folder), "--output_path", str(root), "--replace_degenerate"])
    assert code == 0
    board = read_json(root / "leaderboard.json")
    assert len(list((root / "requests").glob("*.json"))) == 1
    seeds = {(row["task"], row["intermediate"]): set() for row in board["rows"]}
    for row in board["rows"]:
        seeds[row["task"], row["intermediate"]].add(row["seed"])
    assert seeds == {("pairs", "none"): {7, 8}, ("pairs", "tags"): {7, 8}, ("tags", "none"): {1, 2}, ("tags", "tags"): {1, 2}}
    of_none = [(entry["seed"], entry["by"]) for entry in board["replaced"] if entry["intermediate"] == "none"]
    assert sorted(of_none, key=str) == sorted([(1, 3), (2, 4), (3, 5), (4, 6), (5, 7), (6, 8), (7, None), (8, None)], key=str)
    assert "replaced by seed 3" in capsys.readouterr().out
