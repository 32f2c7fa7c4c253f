"""Models larger than memory through the ordinary command: what is said does not depend on where layers lie."""

import dataclasses
import json

import pytest
from small_runs import CONFIG, FOREIGN, Project

import run_eval
from models.encoder import init_scratch, train_tokenizer

OFFLOAD = "device_map=auto,cpu_memory_gib=0.00000001"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """An encoder of the kind of XLM-R XXL, cut to two layers, and a decoder of as many."""
    project = Project.make(tmp_path_factory.mktemp("project"), tasks="pairs,tags,nearest", max_steps=3)
    tokenizer = train_tokenizer([*FOREIGN, *FOREIGN.values()], vocab_size=200)
    folder = project.folder / "xl"
    init_scratch({**CONFIG, "model_type": "xlm-roberta-xl"}, tokenizer=tokenizer, folder=folder, seed=3)
    return dataclasses.replace(project, model=folder)


def command(project, root, *flags):
    given = ["--include_path", str(project.folder), "--recipe", "tiny", "--device", "cpu", "--quiet", *flags]
    return run_eval.main([*given, "--output_path", str(root)])


def predictions(root):
    return {path.parent.name: path.read_bytes() for path in root.glob("predict/*/predictions.jsonl")}


def placements(root):
    return [json.loads(path.read_text()).get("placement") for path in sorted(root.glob("predict/*/done.json"))]


def same_with_and_without(project, folder, *flags, num):
    for name, model_args in (("plain", "dtype=auto"), ("offloaded", f"dtype=auto,{OFFLOAD}")):
        assert command(project, folder / name, *flags, "--model_args", model_args) == 0
    found = predictions(folder / "plain")
    assert len(found) == num
    assert predictions(folder / "offloaded") == found  # the names hold the keys: these are the same as well
    assert placements(folder / "plain") == [None] * num
    told = placements(folder / "offloaded")
    assert {one["device_map"] for one in told} == {"auto"}
    assert {one["cpu_memory_gib"] for one in told} == {1e-8}
    assert all(one["bytes"]["disk"] > 0 for one in told)
    assert len(told) == num


def test_heads_of_a_checkpoint_say_the_same_with_layers_on_the_disk(project, tmp_path):
    assert command(project, tmp_path / "trained", "--model", str(project.model), "--tasks", "pairs,tags") == 0
    checkpoints = sorted(tmp_path.glob("trained/train/*/checkpoint"))
    assert len(checkpoints) == 2
    for checkpoint in checkpoints:
        task = next(iter(json.loads((checkpoint / "heads.json").read_text())))
        num = {"pairs": 3, "tags": 2}[task]
        flags = ("--model", str(checkpoint), "--no_train", "--tasks", task)
        same_with_and_without(project, tmp_path / task, *flags, num=num)


def test_vectors_are_the_same_with_layers_on_the_disk(project, tmp_path):
    flags = ("--model", str(project.model), "--tasks", "nearest", "--no_train")
    same_with_and_without(project, tmp_path, *flags, num=2)


def test_answers_to_prompts_are_the_same_with_layers_on_the_disk(project, tmp_path):
    flags = ("--model", str(project.decoder), "--tasks", "pairs,tags", "--route", "prompt", "--no_train")
    same_with_and_without(project, tmp_path, *flags, num=5)


def test_training_with_layers_on_the_disk_is_refused(project, tmp_path, capsys):
    assert command(project, tmp_path, "--model", str(project.model), "--tasks", "pairs", "--model_args", OFFLOAD) == 1
    assert "cannot be trained" in capsys.readouterr().err


@pytest.mark.parametrize("given", ["cpu_memory_gib=6", "gpu_memory_gib=6,device_map=cpu"])
def test_memory_without_a_map_says_nothing(project, tmp_path, capsys, given):
    assert command(project, tmp_path, "--model", str(project.model), "--tasks", "nearest", "--model_args", given) == 2
    assert "say nothing without a device_map" in capsys.readouterr().err


@pytest.mark.parametrize("given", ["cpu_memory_gib=0", "cpu_memory_gib=-1", "gpu_memory_gib=inf", "gpu_memory_gib=much"])
def test_memory_is_a_number_above_nothing(project, tmp_path, capsys, given):
    flags = ("--model", str(project.model), "--tasks", "nearest", "--model_args", f"device_map=auto,{given}")
    assert command(project, tmp_path, *flags) == 2
    assert given.split("=")[0] in capsys.readouterr().err
