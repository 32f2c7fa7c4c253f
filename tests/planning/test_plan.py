"""Plans: which stages a run has, what they share, what blocks them, and what is wrong with a request."""

import json

import pytest
import yaml
from small_folders import write_model_folder
from small_tasks import RECIPE, pairs, rows, write, write_tasks

from harness.api.errors import UserError
from harness.data.locations import DataPlace
from harness.planning.catalog.catalog import Catalog
from harness.planning.plan import make_plan
from harness.planning.request import GivenRate, RunRequest


@pytest.fixture
def here(tmp_path):
    return write_tasks(tmp_path)


def plan(folder, *, tasks="left,right", **request):
    request = {"model": str(folder / "model"), "recipe": "short", **request}
    place = DataPlace(data_dir=folder, offline=True)
    return make_plan(RunRequest(tasks=tasks, **request), catalog=Catalog([folder]), place=place)


def keys(made, verb):
    return {stage.key for stage in made.stages if stage.verb == verb}


def failure(folder, **request):
    with pytest.raises(UserError) as caught:
        plan(folder, **request)
    return str(caught.value)


def edit(folder, name, **change):
    path = folder / f"{name}.yaml"
    write(folder, {**yaml.safe_load(path.read_text()), **change})


def test_targets_with_the_same_training_rows_share_one_checkpoint(here):
    made = plan(here)
    assert len(keys(made, "train")) == 1
    assert len(keys(made, "predict")) == 4
    assert len({id(cell.train[0]) for cell in made.cells if cell.score}) == 1
    assert all(cell.predict.args.head == "source" for cell in made.cells if cell.score)


@pytest.mark.real
def test_xquad_and_mlqa_share_one_squad_checkpoint(shared, here):
    request = RunRequest(model=str(here / "model"), tasks="xquad,tydiqa", intermediate="none,qqp")
    made = make_plan(request, catalog=Catalog(), place=DataPlace(data_dir=shared / "hub", offline=True))
    assert {cell.train[-1].args.tasks[0].task for cell in made.cells if cell.task == "xquad"} == {"squad_v1"}
    assert len(keys(made, "train")) == 5
    assert all(
        stage.args.tasks[0].validation is None for stage in made.stages if stage.verb == "train" and "+squad_v1" in stage.name
    )


def test_one_intermediate_checkpoint_serves_all_targets(here):
    made = plan(here, tasks="left,right,bare", intermediate="none,warm")
    warm = [t for t in made.trainings if t.phase == "intermediate"]
    assert [(t.task, len(t.stages)) for t in warm] == [("warm", 1)]
    assert {cell.train[0].key for cell in made.cells if cell.intermediate == "warm" and cell.score} == {warm[0].stages[0].key}
    assert len(keys(made, "train")) == 3
    (target,) = {cell.train[1].key for cell in made.cells if cell.intermediate == "warm" and len(cell.train) == 2}
    assert target != next(cell.train[0].key for cell in made.cells if cell.intermediate == "none" and cell.train)


def test_a_rate_is_that_of_one_training_and_of_all_that_comes_after_it(here):
    usual = plan(here, intermediate="none,warm")
    at = {name: [GivenRate("warm", name, 0.5)] for name in ("left", "")}
    target, phase = (plan(here, intermediate="none,warm", learning_rates=tuple(at[name])) for name in ("left", ""))

    def rates(made, setting, task):
        cell = next(cell for cell in made.cells if (cell.intermediate, cell.task) == (setting, task) and cell.score)
        return [stage.args.training.get("learning_rate") for stage in cell.train]

    own = rates(usual, "warm", "left")
    assert rates(target, "warm", "left") == [own[0], 0.5]
    assert rates(phase, "warm", "left") == [0.5, own[1]]
    for made in (target, phase):
        assert rates(made, "none", "left") == rates(usual, "none", "left")
    # Another target of the same training rows is a training of its own as soon as its rate is.
    assert rates(target, "warm", "right") == own
    assert len(keys(target, "train")) == len(keys(usual, "train")) + 1
    both = (GivenRate("warm", "left", 0.5), GivenRate("warm", "right", 0.5))
    assert len(keys(plan(here, intermediate="none,warm", learning_rates=both), "train")) == len(keys(usual, "train"))
    who = next(t for t in target.trainings if t.after == "warm" and t.hyper_parameters.values.learning_rate == 0.5)
    assert who.hyper_parameters.origin["learning_rate"] == "chosen on English development rows"


def test_phases_of_one_setting_have_a_rate_each(here):
    rates = (GivenRate("warm", "", 0.5), GivenRate("warm:source", "", 0.25))
    made = plan(here, intermediate="warm,warm:source", learning_rates=rates)
    cells = [cell for cell in made.cells if cell.score]
    found = {cell.intermediate: [stage.args.training["learning_rate"] for stage in cell.train[:-1]] for cell in cells}
    assert found == {"warm": [0.5], "warm:source": [0.5, 0.25]}
    assert len({cell.train[0].key for cell in cells}) == 1  # the first phase of both is one training


def test_nothing_random_has_no_seed(here):
    made = plan(here, tasks="bare,right", intermediate="none,warm", seeds=(1, 2))
    found = {(cell.intermediate, cell.task, cell.seed) for cell in made.cells}
    expected = {("none", "bare", None), ("warm", "bare", 1), ("warm", "bare", 2)}
    assert found == expected | {(name, "right", seed) for name in ("none", "warm") for seed in (1, 2)}


def test_cells_that_train_twice_on_the_same_rows_are_marked(here):
    assert plan(here, intermediate="none,source,warm").same_task == [("source", "left")]


def test_missing_data_block_their_own_cells_only(here):
    made = plan(here, tasks="left")
    assert [(cell.lang, bool(cell.missing)) for cell in made.cells] == [("en", False), ("de", False), ("fr", True)]
    (text,) = made.missing()
    assert "task 'left' lacks test rows of fr; 1 scores wait" in text
    assert "left-fr.jsonl" in text


def test_all_that_is_missing_is_said_with_the_command_that_fetches_it(here):
    data = {split: {"hub": "org/set", "config": "{lang}", "split": split} for split in ("train", "validation", "test")}
    write(here, pairs("far", data=data))
    made = plan(here, tasks="far,bare")
    assert {cell.task for cell in made.cells if cell.score} == {"bare"}
    (text,) = made.missing()
    assert "train rows of en; validation rows of en; test rows of en, de; 2 scores" in text
    assert "run_eval.py fetch --tasks far --languages en,de" in text


def test_every_mistake_of_a_request_comes_at_once(here):
    write(here, {**RECIPE, "recipe": "endless", "defaults": {}})
    write(here, pairs("swapped", train=False, train_on="source", labels=["yes", "no"]))
    rows(here, "swapped", "en", "de")
    text = failure(
        here, tasks="left,swapped,lefd,mlm", intermediate="wram,bare", recipe="endless", languages=("en", "xx"), limit=0,
        model_args="max_lengt=3,doc_stride=4",
    )  # fmt: skip
    for word in ("'lefd'", "'mlm' has no test rows", "'wram'", "'bare' has no training rows", "'xx'", "--limit", "'max_length'"):
        assert word in text
    text = failure(here, tasks="left,swapped", recipe="endless", model_args="doc_stride=4")
    assert "no task of this run has the option 'doc_stride'" in text
    assert "does not say how long to train on source" in text
    assert "whose type or labels differ" in text
    assert "swapped.yaml:" in text


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"tasks": " , "}, "no task is named"),
        ({"intermediate": ","}, "no intermediate setting"),
        ({"no_train": True, "intermediate": "none,warm"}, "exclude each other"),
        ({"languages": ("fr",), "tasks": "right"}, "none of these languages"),
        ({"recipe": "shrt"}, "did you mean 'short'"),
        ({"model": "xlm-robert-base"}, "did you mean 'xlm-roberta-base'"),
        ({"model": "./nowhere"}, "no model './nowhere'"),
        ({"model_args": "adapter=encodr"}, "did you mean 'encoder'"),
        ({"model_args": "max_length"}, "not key=value"),
    ],
)
def test_a_request_that_cannot_be(here, request_, words):
    assert words in failure(here, **request_)


def test_impossible_pairs_of_task_and_adapter_come_in_one_error(here):
    text = failure(here, tasks="right,bare,panx", intermediate="warm", model_args="adapter=finetuned")
    assert text.count("adapter 'finetuned'") == 3
    assert "'right'" in text
    assert "'panx'" in text
    assert "where" not in text
    assert "--intermediate: task 'warm'" in text
    assert plan(here, tasks="bare", model_args="adapter=finetuned").cells


def test_a_type_that_trains_nothing_is_refused_before_anything_is_loaded(here):
    mining = {"type": "bitext_mining", "fields": {"sources": "a", "targets": "a", "gold": "label"}, "labels": [], "options": {}}
    write(here, pairs("mined", **{**mining, "metrics": ["mined_pairs"]}))
    rows(here, "mined", "train", "en", "de")
    text = failure(here, tasks="right", intermediate="mined")
    assert "--intermediate: task 'mined' (bitext_mining) cannot be trained" in text
    assert "translation_ranking" in text


def test_languages_and_limit(here):
    made = plan(here, languages=("de",), limit=2)
    assert {cell.lang for cell in made.cells} == {"de"}
    assert {stage.args.limit for stage in made.stages if stage.verb == "predict"} == {2}
    assert keys(made, "train") == keys(plan(here), "train")
    assert not keys(made, "predict") & keys(plan(here), "predict")


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"description": "Other.", "notes": ["n"], "homepage": "h", "licence": "l", "chance": 3}, {"train", "predict", "score"}),
        ({"same_task": []}, {"train", "predict", "score"}),
        ({"metrics": ["accuracy", "token_accuracy"]}, {"train", "predict"}),
        ({"fields": {"text": {"template": "{{ a }}!"}, "label": "label"}}, {"train"}),
        ({"options": {"max_length": 9}}, set()),
        ({"options": {"max_length": 128}}, {"train", "predict", "score"}),
        ({"version": 2}, {"train"}),
    ],
)
def test_an_edit_makes_only_what_it_changes_again(here, change, same):
    before = plan(here, tasks="right")
    edit(here, "right", **change)
    after = plan(here, tasks="right")
    assert {verb for verb in ("train", "predict", "score") if keys(before, verb) == keys(after, verb)} == same


def test_rows_and_settings_that_train_change_everything_after_them(here):
    before = plan(here, tasks="right")
    rows(here, "source", "train", "en")
    (here / "source-train.jsonl").write_text(json.dumps({"a": "new", "label": "yes"}) + "\n", encoding="utf-8")
    assert not keys(before, "train") & keys(plan(here, tasks="right"), "train")
    write(here, {**RECIPE, "defaults": {"max_steps": 3}})
    third = plan(here, tasks="right")
    write(here, {**RECIPE, "defaults": {"max_steps": 3}, "save_every": 7})
    fourth = plan(here, tasks="right")
    assert keys(third, "train") == keys(fourth, "train")
    assert {stage.knobs.save_every for stage in fourth.stages if stage.verb == "train"} == {7}


def test_paths_are_in_no_key(here, tmp_path_factory):
    other = write_tasks(tmp_path_factory.mktemp("elsewhere"))
    assert [stage.key for stage in plan(here).stages] == [stage.key for stage in plan(other).stages]
    assert all(str(here) not in json.dumps(stage.args.json()) for stage in plan(here).stages)


def test_another_tokenizer_is_another_model(here):
    write_model_folder(here / "words")
    other = plan(here, model_args=f"tokenizer={here / 'words'}")
    assert not {stage.key for stage in other.stages} & {stage.key for stage in plan(here).stages}


def test_remove_overlap_is_in_the_keys_of_training_whatever_the_order_of_tasks(here):
    plain, one, two = plan(here), plan(here, remove_overlap=True), plan(here, tasks="right,left", remove_overlap=True)
    assert not keys(plain, "train") & keys(one, "train")
    assert keys(one, "train") == keys(two, "train")
    (train,) = [stage for stage in one.stages if stage.verb == "train"]
    assert [(test.task, list(test.data)) for test in train.args.tasks[0].exclude] == [
        ("left", ["en", "de"]),
        ("right", ["en", "de"]),
    ]


def test_fakes_and_no_train_train_nothing(here):
    for request in ({"model": "oracle", "intermediate": "none,warm"}, {"no_train": True, "model_args": "adapter=encoder"}):
        made = plan(here, **request)
        assert keys(made, "train") == set()
        assert {cell.seed for cell in made.cells} == {None}
