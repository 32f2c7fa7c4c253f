"""Training in several processes: each with a copy of the model, or with a part of every weight, ends where one process does.

In fp32 the losses of the first ten steps agree within 1e-5, relative, on 1, 2 and 4 processes; with as many processes the bytes
are equal.  The processes are real ones, connected by gloo.
"""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from small_processes import run_together, said, work_together
from small_runs import CAUSAL, CONFIG, Project, contents, differences

from harness.api.model_source import ModelSource
from harness.planning.catalog.catalog import Catalog
from harness.runtime.processes import gather, join, leave, num_ranks, rank
from harness.training.gradients import batch_gradients
from harness.training.optimizer import clip
from harness.training.setup import prepare
from harness.training.sharding import whole_tensors
from models.decoder import init_scratch as init_decoder
from models.encoder import init_scratch
from models.loading.tokenizer import load_tokenizer

pytestmark = pytest.mark.usefixtures("one_thread")

RELATIVE = 1e-5
WAYS = [(2, "none"), (2, "full"), (4, "none"), (4, "full")]
FIRST = {"tasks": "pairs,nearest", "intermediate": "none,pairs+cloze", "languages": ("de",)}
"A classifier, vectors with negatives from the whole batch, and a mixture of two heads of which a step trains one."


@pytest.fixture(scope="module")
def still(tmp_path_factory):
    """No dropout, and an epsilon that keeps rounding small: Adam's step follows the sign of gradients near 0."""
    made = Project.make(tmp_path_factory.mktemp("still"), dropout=0.0, adam_epsilon=1e-3, max_steps=10, eval_every=5)
    return made.with_machine(batch_tokens=60)


@pytest.fixture(scope="module")
def ran(still, tmp_path_factory):
    """Folder of the run of FIRST by so many processes, each with a copy of the model or with a part of it."""

    @cache
    def run(count, sharding):
        root = tmp_path_factory.mktemp("runs") / f"{count}-{sharding}"
        assert run_together(count, still.with_machine(sharding=sharding), root, **FIRST) == [0] * count, said(root)
        return root

    return run


def logs(root):
    """Losses by training stage."""
    found = {}
    for path in sorted(root.glob("train/*/log.jsonl")):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        found[path.parent.name] = [line["loss"] for line in lines if "loss" in line]
    return found


def scores(root):
    return {path.parent.name: json.loads(path.read_text())["score"]["value"] for path in sorted(root.glob("score/*/score.json"))}


def weights(root):
    found = {}
    for path in sorted(root.glob("train/*/checkpoint/**/*.safetensors")):
        found |= {f"{path.relative_to(root)} {name}": tensor for name, tensor in load_file(path).items()}
    return found


def agree(one, other, *, relative=RELATIVE):
    first, second = logs(one), logs(other)
    assert first.keys() == second.keys()
    assert first
    for name, losses in first.items():
        assert len(losses) >= 9
        np.testing.assert_allclose(second[name], losses, rtol=relative, err_msg=name)


RARE = dict.fromkeys([(2, "none"), (4, "none"), (4, "full")], pytest.mark.long)


@pytest.mark.parametrize(("count", "sharding"), [pytest.param(*way, marks=RARE.get(way, pytest.mark.slow)) for way in WAYS])
def test_losses_and_scores_are_those_of_one_process(ran, count, sharding):
    one, several = ran(1, "none"), ran(count, sharding)
    agree(one, several)
    first, second = weights(one), weights(several)
    assert first.keys() == second.keys()
    assert max(float((first[name] - second[name]).abs().max()) for name in first) < 2e-5
    before, after = scores(one), scores(several)
    assert before.keys() == after.keys()
    beside = {name: (score, after[name]) for name, score in before.items()}
    assert sum(a != b for a, b in beside.values()) <= 1, f"a tie may fall the other way: {beside}"
    done = [json.loads(path.read_text())["arithmetic"] for path in several.glob("train/*/done.json")]
    assert {(how["processes"], how["sharding"], how["offload"]) for how in done} == {(count, sharding, "none")}
    left = [path for path in several.rglob("*") if path.name.startswith((".", "partials", "vectors", "state", "best"))]
    assert left == []


@pytest.mark.slow
def test_layers_above_the_one_that_is_asked_are_never_computed(still, tmp_path):
    """Nor gathered: gradients of several passes are kept all the same."""
    asked = {"tasks": "nearest", "intermediate": "none", "languages": ("de",), "model_args": "layer=1"}
    for count in (1, 2):
        assert run_together(count, still, tmp_path / str(count), **asked) == [0] * count, said(tmp_path / str(count))
    agree(tmp_path / "1", tmp_path / "2")


@pytest.mark.slow
@pytest.mark.parametrize("sharding", [pytest.param("none", marks=pytest.mark.long), "full"])
def test_as_many_processes_give_the_same_bytes_also_after_a_kill(still, ran, tmp_path, sharding):
    root, project = tmp_path / "again", still.with_machine(sharding=sharding)
    codes = run_together(2, project, root, die_at_step=8, **FIRST)
    assert codes[1] == -9
    assert list(root.glob("train/*/state-6"))
    assert run_together(2, project, root, die_at_step=14, **FIRST)[1] == -9
    assert run_together(2, project, root, **FIRST) == [0, 0], said(root)
    assert len(contents(root)) > 30
    assert differences(ran(2, sharding), root) == []


@pytest.mark.slow
@pytest.mark.parametrize(("count", "sharding"), [(1, "none"), (4, "full"), pytest.param(4, "none", marks=pytest.mark.long)])
def test_a_run_that_was_killed_on_two_processes_goes_on_with_another_number(still, ran, tmp_path, count, sharding):
    root = tmp_path / "other"
    assert run_together(2, still.with_machine(sharding="full"), root, die_at_step=8, **FIRST)[1] == -9
    killed = next(root.glob("train/*/state-6"))
    assert sorted(path.name for path in killed.iterdir()) == [
        "facts.json",
        "files.json",
        "process-00001-00000.safetensors",
        "process-00002-00000.safetensors",
    ]
    begun = json.loads((killed / "facts.json").read_text())["progress"]["losses"]
    assert run_together(count, still.with_machine(sharding=sharding), root, **FIRST) == [0] * count, said(root)
    agree(ran(1, "none"), root)
    assert logs(root)[killed.parent.name][:6] == begun


@pytest.mark.slow
def test_offloaded_weights_of_a_process_alone(still, ran, tmp_path):
    """A group of one: weights in main memory, gathered layer by layer; on a CPU that is only another way."""
    project = still.with_machine(sharding="full", offload="cpu")
    assert run_together(1, project, tmp_path / "r", die_at_step=8, **FIRST) == [-9]
    assert run_together(1, project, tmp_path / "r", **FIRST) == [0], said(tmp_path / "r")
    agree(ran(1, "none"), tmp_path / "r")
    done = [json.loads(path.read_text())["arithmetic"] for path in tmp_path.glob("r/train/*/done.json")]
    assert {(how["processes"], how["sharding"], how["offload"]) for how in done} == {(1, "full", "cpu")}


def _look(project, name, sharding):
    """In each process: what the parameters are, the norm of gradients, and whether all have the same weights after steps."""
    from torch.distributed.tensor import DTensor

    join("cpu")
    plan, machine = project.with_machine(sharding=sharding).plan(tasks=name)
    stage = next(stage for stage in plan.stages if stage.verb == "train")
    run = prepare(stage, root=project.folder / f"look-{num_ranks()}-{sharding}", machine=machine)
    work = next(iter(run.works.values()))
    data = next(iter(run.data.values()))
    seen = {"divided": sum(isinstance(p, DTensor) for p in run.optimizer.parameters.values()), "norms": []}
    seen["own"] = sum(one.numel() for group in run.optimizer.param_groups for one in group["params"])
    for step in range(3):
        batch_gradients(work, work.batch([data.items[i] for i in run.mixture.step(step).items]), step=step)
        seen["norms"].append(float(clip(run.module.parameters(), 0.05)))
        run.optimizer.step()
        run.scheduler.step()
        run.optimizer.zero_grad()
    whole = {key: tensor.double().sum().item() for key, tensor in whole_tensors(run.module)}
    assert all(other == whole for other in gather(whole))
    file = project.folder / f"seen-{num_ranks()}-{sharding}-{rank()}.json"
    file.write_text(json.dumps({**seen, "whole": whole, "parameters": len(run.optimizer.parameters)}))
    leave()
    return 0


@pytest.mark.slow
def test_parameters_are_parts_gradients_have_one_norm_and_processes_agree(still, tmp_path):
    found = {}
    for count, sharding in ((1, "none"), (2, "none"), (2, "full")):
        assert work_together(count, tmp_path / "said", _look, still, "pairs", sharding) == [0] * count, said(tmp_path / "x")
        files = sorted(still.folder.glob(f"seen-{count}-{sharding}-*.json"))
        found[count, sharding] = [json.loads(file.read_text()) for file in files]
    (alone,) = found[1, "none"]
    assert alone["divided"] == 0
    for sharding in ("none", "full"):
        ranks = found[2, sharding]
        assert [each["divided"] for each in ranks] == [alone["parameters"]] * 2
        assert [each["norms"] for each in ranks] == [pytest.approx(alone["norms"], rel=1e-5)] * 2
        assert ranks[0]["whole"] == pytest.approx(alone["whole"], rel=1e-4, abs=1e-4)
    assert min(alone["norms"]) > 0.05
    assert [each["own"] for each in found[2, "none"]] == [alone["own"]] * 2
    parts = [each["own"] for each in found[2, "full"]]
    assert sum(parts) == alone["own"]
    assert max(parts) < 0.52 * alone["own"]


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """Rows of 256 values: what eight-bit moments take."""
    folder = tmp_path_factory.mktemp("wide")
    made = Project.make(folder, dropout=0.0, tasks="pairs", max_steps=10, eval_every=5)
    config = {**CONFIG, "hidden_size": 256, "intermediate_size": 512, "hidden_dropout_prob": 0.0}
    tokenizer = load_tokenizer(made.model, ModelSource(path=str(made.model)), vocab_size=10**6)
    init_scratch({**config, "attention_probs_dropout_prob": 0.0}, tokenizer=tokenizer, folder=folder / "wide", seed=1)
    recipe = json.loads((folder / "tiny.yaml").read_text())
    for name, changes in (
        ("eight", {"optimizer": "adamw_8bit"}),
        ("half", {"precision": "bfloat16"}),
        ("lean", {"gradient_checkpointing": True}),
    ):
        changed = {**recipe, "recipe": name, "defaults": {**recipe["defaults"], **changes}}
        (folder / f"{name}.yaml").write_text(json.dumps(changed))
    assert not Catalog([folder]).errors
    return Project(folder=folder, model=folder / "wide").with_machine(batch_tokens=60)


@pytest.mark.long
def test_moments_in_eight_bits_train_alike_on_any_number_of_processes(wide, tmp_path):
    how = {"tasks": "pairs", "languages": ("de",)}
    runs = {
        "exact": (1, "none", "tiny"),
        "one": (1, "none", "eight"),
        "two": (2, "full", "eight"),
        "copies": (2, "none", "eight"),
    }
    for name, (count, sharding, recipe) in runs.items():
        project = wide.with_machine(sharding=sharding)
        assert run_together(count, project, tmp_path / name, recipe=recipe, **how) == [0] * count, said(tmp_path / name)
    losses = {name: next(iter(logs(tmp_path / name).values())) for name in runs}
    near = np.abs(np.array(losses["one"]) - losses["exact"])
    assert 0 < near.max() < 0.05
    # A moment that rounding puts into the next of 256 steps moves a weight by more than rounding does.
    for name in ("two", "copies"):
        np.testing.assert_allclose(losses[name], losses["one"], rtol=2e-3)
    project = wide.with_machine(sharding="full")
    assert run_together(2, project, tmp_path / "cut", recipe="eight", die_at_step=8, **how)[1] == -9
    state = next((tmp_path / "cut").glob("train/*/state-6"))
    kept = {name: tensor for file in state.glob("*.safetensors") for name, tensor in load_file(file).items()}
    assert {tensor.dtype for name, tensor in kept.items() if name.endswith("query.weight/state1")} == {torch.uint8}
    assert {tensor.dtype for name, tensor in kept.items() if name.endswith("query.bias/state1")} == {torch.float32}
    assert run_together(2, project, tmp_path / "cut", recipe="eight", **how) == [0, 0], said(tmp_path / "cut")
    assert differences(tmp_path / "two", tmp_path / "cut") == []
    assert run_together(2, project, tmp_path / "fewer", recipe="eight", die_at_step=8, **how)[1] == -9
    assert run_together(1, wide, tmp_path / "fewer", recipe="eight", **how) == [0], said(tmp_path / "fewer")
    np.testing.assert_allclose(next(iter(logs(tmp_path / "fewer").values())), losses["one"], rtol=2e-3)


@pytest.mark.slow
def test_bfloat16_and_checkpointing_come_near_one_process(wide, tmp_path):
    how = {"tasks": "pairs", "languages": ("de",)}
    for recipe, relative in (("half", 0.02), ("lean", RELATIVE)):
        found = []
        for count, sharding in ((1, "none"), (2, "full")):
            root = tmp_path / f"{recipe}-{count}"
            project = wide.with_machine(sharding=sharding, offload="cpu" if sharding == "full" else "none")
            assert run_together(count, project, root, recipe=recipe, **how) == [0] * count, said(root)
            found.append(next(iter(logs(root).values())))
        np.testing.assert_allclose(found[1][:5], found[0][:5], rtol=relative)
        stored = weights(tmp_path / f"{recipe}-2")
        assert {tensor.dtype for tensor in stored.values()} == {torch.float32}


@pytest.mark.slow
def test_a_decoder_with_tied_words_and_adapters_in_two_phases(tmp_path):
    """Prompts, whose answers choose the checkpoint; a second adapter trained on the base with the first one merged into it."""
    made = Project.make(tmp_path / "p", dropout=0.0, adam_epsilon=1e-3, max_steps=10, eval_every=5, tasks="pairs,tags")
    made = made.with_machine(batch_tokens=60)
    tokenizer = load_tokenizer(made.decoder, ModelSource(path=str(made.decoder)), vocab_size=10**6)
    # Heads take their dropout from a name that Llama's own configuration does not have.
    config = {**CAUSAL, "attention_dropout": 0.0, "hidden_dropout_prob": 0.0, "tie_word_embeddings": True}
    init_decoder(config, tokenizer=tokenizer, folder=made.folder / "tied", seed=1)
    asked = {
        "words": {"tasks": "pairs", "route": "prompt", "intermediate": "tags,pairs", "languages": ("de",)},
        "adapters": {
            "tasks": "tags",
            "intermediate": "pairs",
            "model_args": "lora_rank=4,lora_alpha=8,dtype=float32",
            "languages": ("de",),
        },
    }
    for name, request in asked.items():
        roots = [tmp_path / f"{name}-{count}" for count in (1, 2)]
        for root, count, sharding in zip(roots, (1, 2), ("none", "full")):
            project = made.with_machine(sharding=sharding)
            assert run_together(count, project, root, model=str(made.folder / "tied"), **request) == [0] * count, said(root)
        agree(*roots)
        first, second = weights(roots[0]), weights(roots[1])
        assert first.keys() == second.keys()
        assert max(float((first[key] - second[key]).abs().max()) for key in first) < 2e-5
    assert len(list(Path(tmp_path / "adapters-2").glob("train/*/checkpoint/adapters/1"))) == 1


def _run_short(project, root, recipe):
    """A run whose last process has no memory for more than 40 tokens."""

    def check(module, args, kwargs):
        if rank() == num_ranks() - 1 and kwargs.get("head") and args[0].input_ids.numel() > 40 and torch.is_grad_enabled():
            raise torch.OutOfMemoryError(f"{args[0].input_ids.numel()} tokens")

    from models.headed.network import HeadedNetwork

    handle = torch.nn.modules.module.register_module_forward_pre_hook(
        lambda module, args: None if not isinstance(module, HeadedNetwork) else check(module, args, {"head": True})
    )
    try:
        project.run(root, tasks="pairs", languages=("de",), recipe=recipe)
    finally:
        handle.remove()
    return 0


def test_where_memory_is_short_in_one_process_all_end_and_it_says_what_to_do(still, tmp_path):
    codes = work_together(2, tmp_path / "r-said", _run_short, still.with_machine(sharding="full"), tmp_path / "r", "tiny")
    assert all(codes)
    assert "out of memory with 60 tokens in process 1" in said(tmp_path / "r")
    assert "the same command with --batch_tokens 30" in said(tmp_path / "r")
