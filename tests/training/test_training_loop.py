"""The training loop: the same bytes each time, the same gradients however the batch is cut, and what a recipe promises."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from listening import before_each_step
from safetensors.torch import load_file
from small_runs import Project, differences

from harness.api.errors import UserError
from harness.runtime.processes import together
from harness.specs.recipe import Training
from harness.training.gradients import batch_gradients, seed_devices
from harness.training.loop import train
from harness.training.optimizer import freeze, parameter_groups, rate_factor
from harness.training.outcome import label_entropy
from harness.training.setup import prepare
from harness.training.states import States

pytestmark = pytest.mark.usefixtures("one_thread")
OTHERS = ("tags", "quiz", "cloze")
"Tasks whose loss is a sum over pieces as that of `pairs` is; that of `nearest` is over the whole batch."


@pytest.fixture(scope="session")
def still(tmp_path_factory):
    """No dropout, and an epsilon that keeps rounding small: Adam's step follows the sign of gradients near 0."""
    return Project.make(tmp_path_factory.mktemp("still"), dropout=0.0, adam_epsilon=1e-3)


@pytest.fixture(scope="session")
def project(tmp_path_factory):
    return Project.make(tmp_path_factory.mktemp("project"))


def stage_of(project, name):
    """The stage that trains on a task, and the machine."""
    is_target = name != "cloze"
    plan, machine = project.plan(tasks=name if is_target else "pairs", intermediate="none" if is_target else name)
    return next(s for s in plan.stages if s.verb == "train" and s.args.tasks[0].task == name), machine


def with_training(args, **changes):
    """The arguments with other hyper-parameters."""
    return replace(args, training={**args.training, **changes})


def trained(project, root, name, **changes):
    """Train one stage; its folder.  `changes` of the recipe's values give the stage another key."""
    stage, machine = stage_of(project, name)
    if changes:
        stage = replace(stage, args=with_training(stage.args, **changes))
    facts = train(stage, root=root, machine=machine)
    return stage.folder(root), facts


def weights(folder):
    return {**load_file(folder / "checkpoint/backbone/model.safetensors"), **load_file(folder / "checkpoint/heads.safetensors")}


def far(one, other):
    """Largest difference of two sets of tensors."""
    assert one.keys() == other.keys()
    return max(float((one[name] - other[name]).abs().max()) for name in one)


def log_of(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def losses(folder):
    return [line["loss"] for line in log_of(folder) if "loss" in line]


def data_of(run):
    (data,) = run.data.values()
    return data


def work_of(run):
    (work,) = run.works.values()
    return work


def gradients(project, root, name, *, batch_tokens=None, module=None):
    """Gradients of the first recipe batch, and its loss."""
    stage, machine = stage_of(project.with_machine(batch_tokens=batch_tokens), name)
    run = prepare(stage, root=root, machine=machine)
    ((task, data),) = run.data.items()
    groups = [data.items[i] for i in run.mixture.step(0).items]
    if name == "cloze":
        how = {"rng": np.random.default_rng(0), "tokenizer": run.works[task].adapter.tokenizer, "options": data.options}
        groups = [[data.module.augment(feature, **how) for feature in group] for group in groups]
    if module:
        module(run)
    loss = batch_gradients(run.works[task], run.works[task].batch(groups), step=0)
    return {n: p.grad.clone() for n, p in run.module.named_parameters() if p.grad is not None}, loss, run


@pytest.mark.parametrize(
    ("name", "threads", "steps"),
    [("pairs", 1, 9), ("nearest", 1, 9), ("cloze", 1, 9), pytest.param("pairs", 2, 2, marks=pytest.mark.slow)],
)
def test_training_gives_the_same_bytes_each_time(project, tmp_path, name, threads, steps):
    torch.set_num_threads(threads)
    trained(project, tmp_path / "a", name, max_steps=steps)
    torch.manual_seed(99)
    trained(project, tmp_path / "b", name, max_steps=steps)
    assert differences(tmp_path / "a", tmp_path / "b") == []


@pytest.mark.parametrize("name", ["pairs", "nearest", *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS)])
def test_gradients_do_not_depend_on_how_the_batch_is_cut(still, tmp_path, name):
    whole, loss, _ = gradients(still, tmp_path, name)
    assert any(grad.abs().max() > 1e-4 for grad in whole.values())
    for batch_tokens in (60, 1):
        cut, cut_loss, _ = gradients(still, tmp_path, name, batch_tokens=batch_tokens)
        assert cut_loss == pytest.approx(loss, abs=1e-5)
        assert far(cut, whole) < 2e-6


RARE = {"tags": pytest.mark.long, "quiz": pytest.mark.long}


@pytest.mark.parametrize(
    "name", ["pairs", "nearest", *(pytest.param(name, marks=RARE.get(name, pytest.mark.slow)) for name in OTHERS)]
)
def test_training_in_other_pieces_agrees(still, tmp_path, name):
    one, _ = trained(still, tmp_path / "whole", name)
    other, _ = trained(still.with_machine(batch_tokens=50), tmp_path / "cut", name)
    assert losses(one) == pytest.approx(losses(other), abs=2e-5)
    assert 0 < far(weights(one), weights(other)) < 2e-5


def test_loss_is_a_mean_over_tokens_not_over_pieces(still, tmp_path):
    """Sentences of 3 to 8 words: a mean of means over pieces of one sentence would be another number."""
    stage, machine = stage_of(still.with_machine(batch_tokens=1), "tags")
    run = prepare(stage, root=tmp_path, machine=machine)
    groups = [data_of(run).items[i] for i in run.mixture.step(0).items]
    with torch.no_grad():
        sums = [data_of(run).module.loss(*_outputs(run, group), data_of(run).options).item() for group in groups]
    counts = [data_of(run).module.num_targets(group) for group in groups]
    assert batch_gradients(work_of(run), work_of(run).batch(groups), step=0) == pytest.approx(sum(sums) / sum(counts), abs=1e-5)
    assert abs(sum(sums) / sum(counts) - np.mean([s / c for s, c in zip(sums, counts)])) > 1e-4


def _outputs(run, features):
    from harness.prediction.batching import collate

    batch = collate(features, pad_id=work_of(run).adapter.tokenizer.pad_token_id)
    return run.module(batch, head=work_of(run).question.head), batch


@pytest.mark.parametrize("name", ["nearest", "pairs"])
def test_gradients_of_pieces_carry_the_dropout_of_the_pieces(project, tmp_path, name):
    """Each piece keeps its dropout between the two passes of gradient caching: numeric and cached gradients agree."""
    grads, _, run = gradients(project, tmp_path, name, batch_tokens=60)
    parameter = run.module.get_parameter("backbone.encoder.layer.1.output.dense.bias")
    place = int(grads["backbone.encoder.layer.1.output.dense.bias"].abs().argmax())
    groups = [data_of(run).items[i] for i in run.mixture.step(0).items]
    found = []
    for shift in (1e-2, -1e-2):
        with torch.no_grad():
            parameter[place] += shift
        found.append(batch_gradients(work_of(run), work_of(run).batch(groups), step=0))
        with torch.no_grad():
            parameter[place] -= shift
    numeric = (found[0] - found[1]) / 2e-2
    assert numeric == pytest.approx(float(grads["backbone.encoder.layer.1.output.dense.bias"][place]), rel=0.05)


def test_seeds_are_those_of_torch_without_a_look_at_the_stack(monkeypatch):
    torch.manual_seed(2**62 + 5)
    expected = torch.rand(3)
    monkeypatch.setattr("traceback.format_stack", lambda *_: pytest.fail("the stack was formatted"))
    seed_devices(2**62 + 5, device="cpu")
    assert torch.equal(torch.rand(3), expected)


def test_dropout_is_a_function_of_the_step(project, tmp_path):
    _, first, run = gradients(project, tmp_path, "pairs")
    groups = [data_of(run).items[i] for i in run.mixture.step(0).items]
    again = [batch_gradients(work_of(run), work_of(run).batch(groups), step=step) for step in (0, 1)]
    assert again[0] == first != again[1]


def raise_above(limit):
    """Makes the module run out of memory for more padded tokens than `limit`."""

    def change(run):
        def check(module, args, kwargs):
            if args[0].input_ids.numel() > limit:
                raise torch.OutOfMemoryError(f"{args[0].input_ids.numel()} tokens")

        run.module.register_forward_pre_hook(check, with_kwargs=True)

    return change


@pytest.mark.parametrize("name", ["pairs", "nearest"])
def test_out_of_memory_cuts_the_batch_and_keeps_the_gradients(still, tmp_path, name):
    whole, loss, _ = gradients(still, tmp_path, name)
    cut, cut_loss, run = gradients(still, tmp_path, name, module=raise_above(60))
    assert cut_loss == pytest.approx(loss, abs=1e-5)
    assert far(cut, whole) < 2e-6
    assert run.budget.tokens <= 64


def test_out_of_memory_with_one_sequence_is_the_users_to_solve(still, tmp_path):
    with pytest.raises(UserError, match="out of memory with one sequence of"):
        gradients(still, tmp_path, "pairs", module=raise_above(3))


def test_the_best_checkpoint_is_kept_and_patience_ends_training(project, tmp_path):
    folder, facts = trained(project, tmp_path, "tags", schedule="constant", learning_rate=0.02, max_steps=40, patience=2)
    scores = {line["step"]: line["english_score"] for line in log_of(folder) if "english_score" in line}
    best = max(scores.values())
    assert facts["best_step"] == next(step for step, score in scores.items() if score == best)
    assert facts["stopped_early"]
    assert facts["steps"] == facts["best_step"] + 6 < 40
    assert facts["best_step"] > 3
    alone, _ = trained(project, tmp_path / "alone", "tags", schedule="constant", learning_rate=0.02, max_steps=facts["best_step"])
    assert far(weights(alone), weights(folder)) == 0


def test_nothing_is_selected_where_the_task_says_so(project, tmp_path):
    folder, facts = trained(project, tmp_path, "quiz")
    assert (facts["best_step"], facts["selection"]) == (None, "final checkpoint")
    assert "english_score" not in (folder / "log.jsonl").read_text()


def test_gradient_checkpointing_changes_nothing_but_memory(project, tmp_path):
    plain, _ = trained(project, tmp_path, "pairs")
    lean, _ = trained(project, tmp_path / "lean", "pairs", gradient_checkpointing=True)
    assert losses(lean) == pytest.approx(losses(plain), abs=1e-6)
    assert far(weights(plain), weights(lean)) < 1e-5


def test_bfloat16_trains_fp32_weights_close_to_fp32(project, tmp_path):
    plain, _ = trained(project, tmp_path, "pairs")
    mixed, facts = trained(project, tmp_path / "mixed", "pairs", precision="bfloat16")
    assert facts["dtype"] == "bfloat16"
    assert all(tensor.dtype == torch.float32 for tensor in weights(mixed).values())
    difference = np.abs(np.array(losses(mixed)) - losses(plain))
    assert 0 < difference.max() < 0.05


def test_float16_needs_a_gpu(project, tmp_path):
    with pytest.raises(UserError, match="float16 training needs a GPU"):
        trained(project, tmp_path, "pairs", precision="float16")


def test_frozen_embeddings_stay_as_they_were(project, tmp_path):
    folder, facts = trained(project, tmp_path, "pairs", freeze="embeddings", weight_decay=0.1)
    free, free_facts = trained(project, tmp_path / "free", "pairs")
    before, after = load_file(project.model / "model.safetensors"), weights(folder)
    tables = [name for name in before if name.endswith("embeddings.weight")]
    assert len(tables) == 3
    assert all(torch.equal(before[name], after[name]) for name in tables)
    assert not any(torch.equal(before[name], after[name]) for name in before if "dense.weight" in name and "pooler" not in name)
    assert not torch.equal(before[tables[0]], weights(free)[tables[0]])
    assert free_facts["trained_parameters"] - facts["trained_parameters"] == sum(before[name].numel() for name in tables)


def test_rates_rise_and_fall():
    linear = rate_factor(Training(warmup_ratio=0.1), total_steps=100)
    assert [linear(step) for step in (0, 5, 10, 55, 100)] == pytest.approx([0, 0.5, 1, 0.5, 0])
    assert rate_factor(Training(), total_steps=10)(0) == 1
    constant = rate_factor(Training(warmup_steps=4, warmup_ratio=0.9, schedule="constant"), total_steps=100)
    assert [constant(step) for step in (0, 2, 4, 99)] == pytest.approx([0, 0.5, 1, 1])


def test_the_rates_are_those_of_the_optimizer(project, tmp_path):
    stage, machine = stage_of(project, "pairs")
    args = with_training(stage.args, warmup_steps=2, head_learning_rate=0.5)
    run = prepare(replace(stage, args=args), root=tmp_path, machine=machine)
    groups = run.optimizer.param_groups
    assert {group["lr"] for group in groups} == {0.0}
    run.optimizer.step()
    run.scheduler.step()
    assert sorted({group["lr"] for group in groups}) == pytest.approx([0.0005, 0.25])


def test_biases_and_norms_do_not_decay(project, tmp_path):
    stage, machine = stage_of(project, "pairs")
    module = prepare(stage, root=tmp_path, machine=machine).module
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    groups = parameter_groups(module, Training(weight_decay=0.1))
    still = {names[id(p)] for group in groups if group["weight_decay"] == 0 for p in group["params"]}
    decayed = {names[id(p)] for group in groups if group["weight_decay"] == 0.1 for p in group["params"]}
    assert still == {name for name in names.values() if name.endswith("bias") or "norm" in name.lower()}
    assert still | decayed == set(names.values())
    freeze(module, Training(freeze="embeddings"))
    assert not any("embeddings.weight" in names[id(p)] for g in parameter_groups(module, Training()) for p in g["params"])


def test_gradients_are_clipped(still, tmp_path):
    """Adam hides the size of gradients from the weights, but its first moments are a tenth of them."""
    moments = {}
    for limit in (0.0, 0.01):
        stage, machine = stage_of(still, "pairs")
        args = with_training(stage.args, max_grad_norm=limit, max_steps=2)
        stage = replace(stage, args=args)
        train(stage, root=tmp_path, machine=replace(machine, save_every=1))
        saved = States(folder=stage.folder(tmp_path)).newest()
        assert saved.step == 1
        tensors = load_file(saved.place / "process-00001-00000.safetensors")
        first = [tensor / 0.1 for name, tensor in tensors.items() if name.endswith("/exp_avg")]
        moments[limit] = float(torch.cat([m.flatten() for m in first]).norm())
    assert moments[0.01] == pytest.approx(0.01, rel=1e-3)
    assert moments[0.0] > 0.1


def test_a_loss_that_is_no_number_names_its_step(project, tmp_path):
    with pytest.raises(UserError, match=r"the loss became nan at step \d") as caught:
        trained(project, tmp_path, "pairs", learning_rate=1e30, max_grad_norm=0.0)
    assert "learning_rate" in str(caught.value)


@pytest.mark.parametrize("name", ["pairs", pytest.param("tags", marks=pytest.mark.slow)])
def test_a_run_that_learns_nothing_says_so(project, tmp_path, name):
    _, idle = trained(project, tmp_path / "idle", name, learning_rate=1e-9)
    assert "guessing by the shares of the labels" in idle["degenerate"]
    _, able = trained(project, tmp_path / "able", "tags", learning_rate=0.02, max_steps=30)
    assert able["degenerate"] is None


def test_constant_labels_are_reported(tmp_path):
    project = Project.make(tmp_path / "p", tasks="pairs")
    for split in ("train", "validation"):
        path = project.folder / f"pairs-{split}-en.jsonl"
        path.write_text(
            "".join(json.dumps({**json.loads(line), "label": "same"}) + "\n" for line in path.read_text().splitlines())
        )
    _, facts = trained(project, tmp_path / "r", "pairs")
    assert facts["degenerate"] == "all training labels are the same"


def test_entropy_is_that_of_the_labels(project, tmp_path):
    stage, machine = stage_of(project, "pairs")
    items = data_of(prepare(stage, root=tmp_path, machine=machine)).items
    shares = np.array([14, 13, 13]) / 40
    assert label_entropy(items) == pytest.approx(-(shares * np.log(shares)).sum())
    assert label_entropy(items) < math.log(3)


def test_the_log_grows_while_training_and_forgets_what_is_done_again(project, tmp_path):
    stage, machine = stage_of(project, "pairs")
    args = with_training(stage.args, max_steps=25, eval_every=7)
    stage = replace(stage, args=args)
    seen = []

    def stop_at_17th():
        seen.append((stage.folder(tmp_path) / "log.jsonl").read_text().count('"loss"'))
        if len(seen) == 17:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), before_each_step(stop_at_17th):
        train(stage, root=tmp_path, machine=replace(machine, save_every=15))
    assert sorted(set(seen)) == [0, 7, 10, 14, 15]
    train(stage, root=tmp_path, machine=replace(machine, save_every=15))
    train(stage, root=tmp_path / "whole", machine=machine)
    log = (stage.folder(tmp_path) / "log.jsonl").read_text()
    assert log == (stage.folder(tmp_path / "whole") / "log.jsonl").read_text()
    assert [json.loads(line)["step"] for line in log.splitlines() if "loss" in line] == list(range(1, 26))


def test_alone_a_failure_keeps_its_type():
    with pytest.raises(KeyError), together():
        raise KeyError("x")
