"""`plan --on ... --price ...`, what is refused and how, devices of one's own, and that planning loads nothing heavy."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from small_folders import write_model_folder
from small_lm_eval_tasks import write_folder
from small_tasks import write_tasks
from test_cli import call

from harness.api.registry import ROOT
from harness.data.locations import DataPlace
from harness.executors.cluster.options import ClusterOptions
from harness.executors.cluster.planned_needs import planned_needs
from harness.planning.catalog.catalog import Catalog
from harness.planning.costs.devices import machine_memory, named_device
from harness.planning.costs.estimate import estimate
from harness.planning.costs.needs import stage_needs
from harness.planning.costs.totals import totals
from harness.planning.plan import make_plan
from harness.planning.request import RunRequest
from harness.runtime.machine import Machine

HUGE = {"hidden_size": 8190, "num_hidden_layers": 80, "intermediate_size": 32768, "num_attention_heads": 64}
"No such model can be made, for its heads do not divide its width: nothing is ever allocated for it."
OWN = "device: small\nmemory_gib: 0.25\nfloat32_tflops: 10\nbandwidth_gbs: 100\nsource: made up\n"


@pytest.fixture
def folder(tmp_path):
    """Tasks, and a model whose config.json says that it has 65 billion parameters."""
    write_tasks(tmp_path)
    model = write_model_folder(tmp_path / "huge")
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps({**config, **HUGE}))
    return tmp_path


def words(folder, *more, model="model", tasks="left"):
    return (
        "--include_path", str(folder), "--data_dir", str(folder), "--recipe", "short", "--tasks", tasks, "--languages", "en,de",
        "--model", str(folder / model), "--output_path", str(folder / "runs"), *more,
    )  # fmt: skip


def test_a_plan_says_memory_by_part_time_and_cost_on_a_named_device(folder, capsys):
    code, out, _ = call(capsys, "plan", *words(folder, "--on", "h100-80gb:4", "--price", "2.5"))
    assert code == 0
    head = next(line for line in out.splitlines() if line.startswith("to do"))
    assert head.split() == [
        "to",
        "do",
        "stages",
        "weights",
        "gradients",
        "optimizer",
        "activations",
        "workspace",
        "peak",
        "work",
        "time",
        "cost",
    ]
    assert "train source (target)" in out
    assert "predict left" in out
    assert "device: 4 x NVIDIA H100 SXM5 80GB: 80 GiB, peaks of 66.9 TFLOP/s in fp32, 989 in bf16 (NVIDIA H100" in out
    assert "an hour of one device at 2.5, in the currency of the price" in out
    assert "15% to train" in out


def test_the_parts_of_a_document_add_up_and_its_cost_is_hours_times_price(folder, capsys):
    code, out, _ = call(capsys, "plan", *words(folder, "--on", "a100-40gb", "--price", "3", "--json"))
    assert code == 0
    document = json.loads(out)
    assert [stage["verb"] for stage in document["stages"]] == ["train", "predict", "predict"]
    for stage in document["stages"]:
        memory = dict(stage["memory"])
        total, apart, _ = memory.pop("total"), memory.pop("apart"), memory.pop("on_host")
        assert total == sum(memory.values()) - apart
        assert stage["cost"] == pytest.approx(stage["seconds"] / 3600 * 3)
        assert stage["flops"] > 0
    assert document["total"]["device_seconds"] == pytest.approx(sum(stage["seconds"] for stage in document["stages"]))
    assert document["total"]["cost"] == pytest.approx(document["total"]["device_seconds"] / 1200)
    assert document["device"]["device"] == "a100-40gb"
    assert document["stages"][0]["lengths_are_counted"] is True


def test_planning_imports_neither_torch_nor_transformers(folder):
    command = ["plan", *words(folder, "--on", "h100-80gb:4", "--price", "2.5")]
    code = f"import sys, run_eval; code = run_eval.main({command!r}); "
    code += "sys.exit(3 if {'torch', 'transformers', 'peft', 'accelerate'} & set(sys.modules) else code)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_what_fits_no_such_device_is_refused_with_what_would_help(folder, capsys):
    code, _, err = call(capsys, "plan", *words(folder, "--on", "h100-80gb", model="huge"))
    assert code == 2
    assert "cannot fit: stage train/" in err
    assert "parameters) needs" in err
    assert "at most 80.0 GiB of device memory, all that h100-80gb has" in err
    assert "`--sharding full` on 16 processes" in err
    assert "--model_args lora_rank=16,quantization=nf4 with gradient_checkpointing: true in the recipe" in err
    assert "--model_args device_map=auto" in err  # of its predictions


def test_a_preset_that_is_not_here_is_reckoned_by_its_own_sizes_and_architecture(folder, capsys):
    flags = [
        "--include_path",
        str(folder),
        "--data_dir",
        str(folder),
        "--recipe",
        "short",
        "--tasks",
        "left",
        "--languages",
        "en",
    ]
    code, out, err = call(
        capsys, "plan", "--model", "xlm-roberta-xxl", *flags, "--on", "h100-80gb", "--output_path", str(folder / "r")
    )
    assert code == 2
    assert "sizes: its config.json is not here: widths are reckoned from the sizes that its preset states" in out
    # 16 bytes a parameter but for four fifths of the table of words, and weights in bf16 for the passes
    assert "(10,695,954,432 parameters) needs 16" in err
    assert "`--sharding full` on 4 processes (needs 4" in err
    assert "159.4 GiB of main memory" in err


def test_a_run_refuses_before_anything_is_loaded_and_tries_it_on_request(folder, capsys):
    code, _, err = call(capsys, *words(folder, "--device", "cpu", model="huge"))
    assert code == 2
    assert "this machine has" in err
    assert "--ignore_memory tries it as it is" in err
    assert not (folder / "runs").exists()
    code, _, err = call(capsys, *words(folder, "--device", "cpu", "--ignore_memory", model="huge", tasks="bare"))
    assert code == 1  # it is tried, and there is no such model
    assert "failed: predict/" in err


def test_what_tasks_of_lm_eval_write_costs_its_time(tmp_path, capsys):
    """Their files say how much, as ours do, and --prompt_args may say it of either."""
    write_folder(tmp_path / "theirs")
    model = write_model_folder(tmp_path / "decoder", "llama")
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps({**config, "max_position_embeddings": 4096}))
    seconds = []
    for said in ("num_fewshot=0", "max_new_tokens=8", "max_new_tokens=800"):
        more = ("--tasks", "ask_deu_Latn", "--route", "prompt", "--prompt_args", said, "--on", "h100-80gb", "--json")
        code, out, _ = call(capsys, "plan", "--model", str(model), "--include_path", str(tmp_path / "theirs"), *more)
        assert code == 0
        seconds += [stage["seconds"] for stage in json.loads(out)["stages"] if stage["verb"] == "predict"]
    as_its_file_says, the_same, more_of_it = seconds
    assert as_its_file_says == the_same
    assert more_of_it > 10 * the_same > 0


@pytest.mark.parametrize(
    ("value", "expected"),
    [("h100-80gp", "did you mean 'h100-80gb'"), ("h100-80gb:0", "e.g. h100-80gb:4"), ("h100-80gb:x", "e.g.")],
)
def test_devices_that_there_are_not(folder, capsys, value, expected):
    code, _, err = call(capsys, "plan", *words(folder, "--on", value))
    assert code == 2
    assert "--on" in err
    assert expected in err


@pytest.mark.parametrize("price", ["-1", "nan", "inf"])
def test_prices_that_are_none(folder, capsys, price):
    code, _, err = call(capsys, "plan", *words(folder, f"--price={price}"))
    assert code == 2
    assert "--price: no price" in err


def test_a_device_of_ones_own_is_validated_and_used(folder, capsys):
    (folder / "devices").mkdir()
    (folder / "devices" / "small.yaml").write_text(OWN)
    code, out, _ = call(capsys, "validate", str(folder / "devices"))
    assert (code, out) == (0, "1 files checked, 0 errors\n")
    code, out, _ = call(capsys, "plan", *words(folder, "--on", "small"))
    assert code == 2  # a GPU's own needs are more than it has
    assert "0.25 GiB, peaks of 10 TFLOP/s in fp32, no bf16 (made up)" in out
    code, out, _ = call(capsys, "ls", "devices", "--include_path", str(folder))
    assert "small" in out
    assert "made up" in out


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (OWN.replace("memory_gib: 0.25", "memory_gib: -1"), "bad.yaml:2 memory_gib"),
        (OWN.replace("source: made up\n", ""), "source"),
        (OWN + "tflops: 3\n", "bad.yaml:6 tflops"),
        (OWN.replace("float32_tflops: 10", "float32_tflops: many"), "bad.yaml:3 float32_tflops"),
    ],
)
def test_mistakes_of_a_device_file_are_named_with_their_line(tmp_path, capsys, text, expected):
    (tmp_path / "bad.yaml").write_text(text)
    code, out, err = call(capsys, "validate", str(tmp_path))
    assert code == 2
    assert out == "1 files checked, 1 errors\n"
    assert expected in err


def planned(folder, model="model", **more):
    catalog = Catalog([folder])
    request = RunRequest(model=str(folder / model), tasks="left", recipe="short", languages=("en", "de"), **more)
    place = DataPlace.resolve(str(folder))
    machine = Machine(place=place, task_folders=catalog.task_folders(), progress=False)
    return make_plan(request, catalog=catalog, place=place), machine, catalog


def test_a_cluster_learns_what_stages_need(folder):
    plan, machine, catalog = planned(folder, model="huge")
    device = named_device("h100-80gb", catalog=catalog)
    train, predict, score = (next(stage for stage in plan.stages if stage.verb == verb) for verb in ("train", "predict", "score"))
    needs = stage_needs(plan, train, machine=machine, device=device)
    assert (needs.num_processes, needs.gpus_each) == (16, 1)
    assert needs.cpus_each == 8
    assert stage_needs(plan, predict, machine=machine, device=device).num_processes == 1
    on_cluster = planned_needs([plan], ClusterOptions(cpus_per_stage=3), machine=machine, device=device)
    assert on_cluster(train) == replace(needs, cpus_each=3)  # as many GPUs as hold it, cores of the flag
    assert (on_cluster(predict).num_processes, on_cluster(score).gpus_each) == (1, 0)
    assert stage_needs(plan, score, machine=machine, device=device).gpus_each == 0
    small, machine, _ = planned(folder)
    assert stage_needs(small, small.stages[0], machine=machine, device=device).num_processes == 1
    here = named_device("here", catalog=catalog)
    assert stage_needs(small, small.stages[0], machine=machine, device=here).memory_each > 0


def test_stages_are_scheduled_on_the_devices_there_are(folder):
    plan, machine, catalog = planned(folder)
    numbers = estimate(plan, root=folder / "runs", machine=machine, device=named_device("h100-80gb", catalog=catalog))
    train = next(stage for stage in plan.stages if stage.verb == "train")
    predicts = [stage for stage in plan.stages if stage.verb == "predict"]
    seconds = {stage.key: numbers.stages[stage.key].seconds for stage in (train, *predicts)}
    one = totals(plan.stages, numbers.stages, devices=1, is_sharded=False)
    assert one.seconds == pytest.approx(sum(seconds.values()))
    assert one.at_once == pytest.approx(one.seconds)
    two = totals(plan.stages, numbers.stages, devices=2, is_sharded=False)
    assert two.at_once == pytest.approx(seconds[train.key] + max(seconds[stage.key] for stage in predicts))
    assert totals(plan.stages, numbers.stages, devices=4, is_sharded=True).at_once == pytest.approx(one.seconds / 4)


def test_the_memory_of_a_machine_is_what_its_cgroups_allow(tmp_path):
    whole = machine_memory(system=tmp_path)
    (tmp_path / "proc" / "self").mkdir(parents=True)
    (tmp_path / "proc" / "self" / "cgroup").write_text("0::/a/b\n")
    inner = tmp_path / "sys" / "fs" / "cgroup" / "a" / "b"
    inner.mkdir(parents=True)
    (inner / "memory.max").write_text("max\n")
    assert machine_memory(system=tmp_path) == whole
    (inner.parent / "memory.max").write_text("1073741824\n")
    assert machine_memory(system=tmp_path) == 1 << 30


def test_every_device_of_the_table_names_its_source():
    catalog = Catalog()
    names = catalog.names("device")
    assert len(names) >= 20
    for name in names:
        spec = catalog.device(name).spec
        assert len(spec.source) > 20, name
        assert Path(catalog.device(name).document.path).stem == name
