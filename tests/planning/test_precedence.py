"""Who wins where several set a value, and that it is said who did."""

import pytest
from small_tasks import RECIPE, pairs, write

from harness.api.errors import UserError
from harness.planning.catalog.catalog import Catalog
from harness.planning.precedence import task_options, training
from harness.planning.routes import parse_prompt_args, prompt_name, prompt_of
from harness.specs.lm_eval import LmEvalTask, Shots

LAYERS = ["default", "task t", "recipe short task_options", "preset p", "recipe short tasks.s", "recipe short tasks.target/s"]
LAYERS += ["recipe short tasks.t", "recipe short tasks.target/t", "--model_args"]


def settled(folder, count):
    """Options of task t with the lowest `count` layers, each of which sets max_length to its number."""
    on = [number < count for number in range(len(LAYERS))]
    keys = dict(enumerate(["s", "target/s", "t", "target/t"], start=4))
    tasks = {key: {"options": {"max_length": 10 + n}} for n, key in keys.items() if on[n]}
    write(folder, pairs("s"))
    write(folder, pairs("t", train=False, train_on="s", options={"max_length": 11} if on[1] else {}))
    write(folder, {**RECIPE, "task_options": {"classification": {"max_length": 12}} if on[2] else {}, "tasks": tasks})
    write(folder, {"preset": "p", "hub": "a/b", "task_options": {"classification": {"max_length": 13}} if on[3] else {}})
    catalog = Catalog([folder])
    overrides = {"max_length": 18, "doc_stride": 3} if on[8] else {}
    return task_options(catalog.task("t"), recipe=catalog.recipe("short"), preset=catalog.preset("p"), overrides=overrides)


@pytest.mark.parametrize("count", range(1, len(LAYERS) + 1))
def test_the_last_layer_wins_and_is_named(tmp_path, count):
    found = settled(tmp_path, count)
    assert found.origin["max_length"] == LAYERS[count - 1]
    assert found.values.max_length == (128 if count == 1 else 9 + count)


def test_intermediate_training_follows_its_own_entries(tmp_path):
    tasks = {"target/s": {"options": {"max_length": 5}}, "intermediate/s": {"options": {"max_length": 6}}}
    write(tmp_path, pairs("s"))
    write(tmp_path, {**RECIPE, "tasks": tasks})
    catalog = Catalog([tmp_path])
    found = [
        task_options(catalog.task("s"), recipe=catalog.recipe("short"), preset=None, overrides={}, phase=phase).values.max_length
        for phase in ("target", "intermediate")
    ]
    assert found == [5, 6]


@pytest.mark.parametrize("task", ["xnli", "pawsx", "udpos", "panx"])
def test_options_of_a_shipped_recipe_reach_their_tasks(task):
    catalog = Catalog()
    found = task_options(catalog.task(task), recipe=catalog.recipe("jiant_guide"), preset=None, overrides={})
    assert (found.values.max_length, found.origin["max_length"]) == (256, f"recipe jiant_guide tasks.target/{task}")


def test_training_defaults_then_phase_then_the_task_of_the_rows_then_the_target(tmp_path):
    blocks = {"defaults": {"batch_size": 1, "epochs": 1}, "target": {"batch_size": 2}, "intermediate": {"batch_size": 3}}
    order = ["s", "target/s", "t", "target/t"]
    for count in range(len(order) + 1):
        write(tmp_path, pairs("s"))
        write(tmp_path, pairs("t", train=False, train_on="s"))
        write(tmp_path, {**RECIPE, **blocks, "tasks": {key: {"batch_size": 4 + n} for n, key in enumerate(order[:count])}})
        found = training(["s", "t"], phase="target", recipe=Catalog([tmp_path]).recipe("short"))
        assert found.values.batch_size == (3 + count if count else 2)
        assert found.origin["batch_size"] == f"recipe short {'tasks.' + order[count - 1] if count else 'target'}"
        assert found.origin["epochs"] == "recipe short defaults"
        assert found.origin["weight_decay"] == "default"


def test_a_recipe_that_does_not_say_how_long_is_an_error(tmp_path):
    write(tmp_path, {**RECIPE, "defaults": {}})
    with pytest.raises(UserError, match=r"does not say how long to train on xnli\n.*add `epochs:`"):
        training(["xnli"], phase="target", recipe=Catalog([tmp_path]).recipe("short"))


def test_a_value_that_the_type_refuses_names_who_set_it():
    catalog = Catalog()
    with pytest.raises(UserError, match=r"^--model_args: max_length"):
        task_options(catalog.task("xnli"), recipe=None, preset=None, overrides={"max_length": "many"})


def test_only_a_task_says_whether_a_question_may_have_no_answer():
    catalog = Catalog()
    with pytest.raises(UserError, match="only a task can set 'allow_empty'") as caught:
        task_options(catalog.task("xquad"), recipe=None, preset=None, overrides={"allow_empty": True})
    assert "--model_args" in str(caught.value)
    assert task_options(catalog.task("squad_v2"), recipe=None, preset=None, overrides={}).values.allow_empty


def test_the_usual_length_of_a_prompt_is_no_wish_but_for_tasks_of_lm_eval():
    """2048 is what our own tasks have anyhow: saying so asks for the same stages."""
    own = Catalog([]).task("xnli").spec
    foreign = own.model_copy(update={"lm_eval": LmEvalTask(output_type="multiple_choice")})
    given = parse_prompt_args("max_length=2048")
    assert [prompt_of(spec, given).max_length for spec in (own, foreign)] == [None, 2048]
    assert prompt_of(own, parse_prompt_args("max_length=300")).max_length == 300


def test_tasks_of_lm_eval_show_what_its_sampler_draws_unless_a_run_says_otherwise():
    own = Catalog([]).task("xnli").spec
    foreign = own.model_copy(update={"lm_eval": LmEvalTask(output_type="multiple_choice")})
    ordered = own.model_copy(update={"lm_eval": LmEvalTask(output_type="multiple_choice", shots=Shots(sampler="first_n"))})

    def drawn(args):
        asked = [prompt_of(spec, parse_prompt_args(args)) for spec in (own, foreign, ordered)]
        return [(one.fewshot_sampler, one.seed) for one in asked]

    expected = {
        "": [(None, 0), (None, 0), (None, 0)],
        "num_fewshot=3": [(None, 0), ("lm_eval", 1234), (None, 0)],
        "num_fewshot=3,seed=7": [(None, 7), ("lm_eval", 7), (None, 0)],  # the first ones are drawn by nobody
        "num_fewshot=3,fewshot_sampler=per_question": [(None, 0), (None, 0), (None, 0)],  # the stages of before
    }
    assert {args: drawn(args) for args in expected} == expected
    assert prompt_name(prompt_of(foreign, parse_prompt_args("num_fewshot=3"))) == "prompt 3-shot, sampler lm_eval"
    assert prompt_name(prompt_of(foreign, parse_prompt_args("num_fewshot=3,seed=7"))).endswith("sampler lm_eval, seed 7")
