"""Adapters of peft, GGUF files and other weights in few bits, as the plan sees them: before anything is loaded."""

import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from small_low_bit import gguf_file_of, peft_folder, wide_folder
from small_runs import Project

from harness.api.errors import UserError
from harness.api.gguf_header import FILE_TYPES, STORED, read_gguf
from harness.api.quantization import gguf_file, stored_quantization
from harness.planning.backbone.gguf_files import read_by_transformers
from harness.planning.backbone.peft_folders import read_peft_folder
from harness.planning.backbone.resolve import resolve
from harness.planning.catalog.catalog import Catalog


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return Project.make(tmp_path_factory.mktemp("few-bits") / "project", tasks="pairs,nearest")


@pytest.fixture
def adapter(project, tmp_path):
    peft_folder(str(project.decoder), tmp_path / "my-lora", task_type="CAUSAL_LM", r=4)
    return tmp_path / "my-lora"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    pytest.importorskip("gguf")
    folder = tmp_path_factory.mktemp("gguf")
    return gguf_file_of(wide_folder("llama", folder / "base"), folder / "tiny.gguf")


def backbone(model, args="", *, use_own_head=False):
    return resolve(str(model), args, catalog=Catalog([]), use_own_head=use_own_head)


def refusal(project, **request):
    with pytest.raises(UserError) as caught:
        project.plan(**request)
    return str(caught.value)


def test_few_bits_and_variants_are_in_the_key_and_at_their_default_are_not(project):
    def extra(args):
        return backbone(project.decoder, args).arguments.extra

    assert extra("lora_rank=4") == {"lora": {"rank": 4, "alpha": 8}}
    assert extra("lora_rank=4,lora_variant=lora,lora_chain=merge") == extra("lora_rank=4")
    assert extra("lora_rank=4,lora_variant=dora")["lora"]["variant"] == "dora"
    assert extra("lora_rank=4,quantization=nf4,lora_chain=stack") == {"quantization": "nf4", "lora": {"rank": 4, "alpha": 8}}
    assert extra("lora_rank=4,quantization=nf4,lora_chain=merge")["lora"]["chain"] == "merge"
    assert backbone(project.decoder, "quantization=nf4").facts["quantization"] == "bitsandbytes nf4"
    assert backbone(project.model, "lora_rank=4,quantization=int8").adapter == "encoder"
    plan, _ = project.plan(tasks="pairs", model_args="lora_rank=4,quantization=nf4")
    told = {stage.verb: stage.args.model.extra for stage in plan.stages if hasattr(stage.args, "model")}
    assert told["predict"] == {"quantization": "nf4"}
    assert set(told["train"]) == {"quantization", "lora"}


def test_training_in_few_bits_needs_adapters(project):
    text = refusal(project, tasks="pairs", model_args="quantization=nf4")
    assert "weights in few bits cannot be trained themselves" in text
    assert "lora_rank=16" in text
    project.plan(tasks="nearest", model_args="quantization=nf4", no_train=True)


def test_an_adapter_of_peft_is_a_model_on_its_base(project, adapter):
    found = backbone(adapter)
    assert (found.name, found.adapter) == ("my-lora", "decoder")
    assert found.knobs.path == str(project.decoder)
    assert found.knobs.peft == str(adapter)
    assert found.facts["adapter_on"] == "decoder"
    base = backbone(project.decoder)
    assert found.facts["parameters"] == base.facts["parameters"] > 0
    assert found.arguments.fingerprint.startswith(base.arguments.fingerprint + "+file:")
    config = adapter / "adapter_config.json"
    config.write_text(config.read_text().replace('"lora_alpha": 8', '"lora_alpha": 9'))
    assert backbone(adapter).arguments.fingerprint != found.arguments.fingerprint


def test_its_base_may_lie_beside_it_or_be_named(project, adapter, tmp_path):
    config = json.loads((adapter / "adapter_config.json").read_text())

    def says(base):
        (adapter / "adapter_config.json").write_text(json.dumps({**config, "base_model_name_or_path": base, "revision": "abc"}))

    shutil.copytree(project.decoder, tmp_path / "beside")
    says("/gone/from/here/beside")
    assert backbone(adapter).knobs.path == str(tmp_path / "beside")
    says("org/name")
    held = read_peft_folder(adapter, base=None)
    assert (held.base, held.revision) == ("org/name", "abc")
    assert backbone(adapter, f"base={project.decoder}").knobs.path == str(project.decoder)
    says("/gone/from/here/away")
    with pytest.raises(UserError, match=r"is not here(.|\n)*found: /gone/from/here/away(.|\n)*--model_args base="):
        backbone(adapter)
    says(None)
    with pytest.raises(UserError, match="does not say what the adapter was trained on"):
        backbone(adapter)
    with pytest.raises(UserError, match=r"--model_args base: (.|\n)*is not here"):
        backbone(adapter, "base=/no/where/at/all")
    with pytest.raises(UserError, match="'base' says nothing without an adapter of peft"):
        backbone(project.decoder, f"base={project.decoder}")


def test_what_is_wrong_with_an_adapter_is_said_before_it_is_loaded(project, adapter, tmp_path):
    file, config = adapter / "adapter_config.json", json.loads((adapter / "adapter_config.json").read_text())
    with pytest.raises(UserError, match=r"does not fit the model(.|\n)*expected: layers as in (.|\n)*base="):
        backbone(adapter, f"base={wide_folder('llama', tmp_path / 'wide')}")
    for kind, words in (("PREFIX_TUNING", "before the text"), ("X-LORA", "LORA, LOHA, LOKR, IA3"), (3, "peft_type: ")):
        file.write_text(json.dumps({**config, "peft_type": kind}))
        with pytest.raises(UserError, match=words):
            backbone(adapter)
    file.write_text("[]")
    with pytest.raises(UserError, match="cannot read this file of a model"):
        backbone(adapter)
    file.write_text(json.dumps(config))
    weights = adapter / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4])
    with pytest.raises(UserError, match="cannot read these weights"):
        backbone(adapter)
    weights.unlink()
    with pytest.raises(UserError, match=r"holds no weights of an adapter(.|\n)*adapter_model.safetensors or adapter_model.bin"):
        backbone(adapter)
    (adapter / "adapter_model.bin").write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"cannot read these weights(.|\n)*torch.save"):
        backbone(adapter)


def test_a_head_that_an_adapter_brings_is_asked_without_training(project, tmp_path):
    given = {"r": 4, "target_modules": ["query"], "modules_to_save": ["classifier"]}
    peft_folder(str(project.model), tmp_path / "nli", task_type="SEQ_CLS", **given)
    assert backbone(tmp_path / "nli", use_own_head=True).adapter == "finetuned"
    assert backbone(tmp_path / "nli").adapter == "encoder"
    report = project.run(
        tmp_path / "runs",
        tasks="pairs",
        model=str(tmp_path / "nli"),
        model_args="labels=same|other|none",
        no_train=True,
        languages=("en", "de"),
    )
    assert (len(report.failed), len(report.done)) == (0, 4)
    trained = project.run(tmp_path / "runs", tasks="pairs", model=str(tmp_path / "nli"), languages=("en",))
    assert not trained.failed
    facts = json.loads(next((tmp_path / "runs").glob("train/*/train.json")).read_text())
    assert facts["adapters"]["chain"] == "merge"
    assert facts["adapters"]["rounding"]["adapters"] == 1


def test_a_gguf_file_is_planned_from_its_header(project, tiny, tmp_path):
    found = backbone(tiny)
    assert (found.name, found.adapter) == ("tiny", "decoder")
    assert found.facts["quantization"] == "gguf Q8_0"
    assert (found.facts["parameters"], found.facts["layers"]) == (113_088, 3)
    assert found.facts["weight_bytes"] == tiny.stat().st_size
    assert found.limits.positions == 80
    (tmp_path / "folder").mkdir()
    os.link(tiny, tmp_path / "folder" / "other.gguf")
    assert backbone(tmp_path / "folder").arguments == found.arguments
    os.link(tiny, tmp_path / "folder" / "more.gguf")
    with pytest.raises(UserError, match=r"which one is meant(.|\n)*more.gguf, other.gguf"):
        backbone(tmp_path / "folder")
    text = refusal(project, tasks="pairs", model=str(tiny))
    assert "quantised elsewhere are not trained here: tiny is gguf Q8_0" in text
    assert "engine" not in text
    text = refusal(project, tasks="pairs", model=str(tiny), model_args="engine=vllm", route="prompt")
    assert "vllm does not serve such weights here" in text
    with pytest.raises(UserError, match="in few bits already"):
        backbone(tiny, "quantization=nf4")


def test_a_gguf_file_answers_prompts(project, tmp_path):
    pytest.importorskip("gguf")
    file = gguf_file_of(str(project.decoder), tmp_path / "own.gguf")  # its own vocabulary knows none of these words
    asked = {"tasks": "pairs", "route": "prompt", "languages": ("en",), "limit": 6}
    report = project.run(tmp_path / "runs", model=str(file), model_args=f"tokenizer={project.decoder}", **asked)
    assert not report.failed
    assert len(list((tmp_path / "runs").glob("score/*/done.json"))) == 1


def test_broken_gguf_files_are_refused_in_words(tiny, tmp_path):
    content, rng = tiny.read_bytes(), random.Random(1)
    end = content.index(b"token_embd.weight")
    read = 0
    for number in range(300):
        broken = bytearray(content)
        if number % 3 == 0:
            del broken[rng.randrange(len(broken)) :]
        else:
            for _ in range(1 + number % 4):
                broken[rng.randrange(end)] = rng.randrange(256)
        file = tmp_path / "broken.gguf"
        file.write_bytes(broken)
        with contextlib.suppress(UserError):  # anything else is a fault
            read_gguf(file)
            read += 1
    assert 0 < read < 200


def test_the_types_of_gguf_are_those_of_its_own_package(tiny):
    gguf = pytest.importorskip("gguf")
    for number, (name, numbers, size) in STORED.items():
        kind = gguf.GGMLQuantizationType(number)
        assert (kind.name, *gguf.GGML_QUANT_SIZES[kind]) == (name, numbers, size)
    names = {
        number: gguf.LlamaFileType(number).name.removeprefix("MOSTLY_").removeprefix("ALL_").removesuffix("_MOE")
        for number in FILE_TYPES
    }
    assert {number: name.removesuffix("_S") for number, name in names.items()} == {
        number: name.removesuffix("_S") for number, name in FILE_TYPES.items()
    }
    assert {"llama", "qwen3", "gemma3", "t5"} <= read_by_transformers()


@pytest.mark.parametrize(
    ("said", "label", "package"),
    [
        ({"quant_method": "gptq", "bits": 4, "group_size": 128}, "gptq int4, groups of 128", "optimum and gptqmodel"),
        ({"quant_method": "awq", "bits": 4, "group_size": 64}, "awq int4, groups of 64", "gptqmodel"),
    ],
)
def test_what_transformers_cannot_read_here_names_what_does(project, tmp_path, said, label, package):
    folder = tmp_path / "model"
    shutil.copytree(project.decoder, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "quantization_config": said}))
    assert backbone(folder).facts["quantization"] == label
    text = refusal(project, tasks="pairs", model=str(folder), route="prompt")
    assert f"transformers needs {package} to read these weights" in text
    assert "engine=vllm" in text
    text = refusal(project, tasks="pairs", model=str(folder), model_args="lora_rank=4")
    assert "quantised elsewhere are not trained here" in text


@pytest.mark.parametrize("said", ["int4", {}, {"bits": 4}, {"quant_method": 3}, {"quant_method": "x" * 99}, [1]])
def test_a_quantisation_that_is_not_said_is_refused(said):
    if said == {}:
        assert stored_quantization({"quantization_config": said}) is None
        return
    with pytest.raises(UserError, match="does not say how the weights are stored"):
        stored_quantization({"quantization_config": said})


def test_none_of_it_imports_torch(project, adapter, tiny):
    code = (
        "import sys\nfrom harness.planning.backbone.resolve import resolve\n"
        "from harness.planning.catalog.catalog import Catalog\n"
        "for model in sys.argv[1:]:\n    resolve(model, '', catalog=Catalog([]), use_own_head=False)\n"
        "print(sorted({'torch', 'transformers', 'peft', 'gguf', 'bitsandbytes'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(adapter), str(tiny)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_no_file_is_taken_for_weights(tmp_path):
    assert gguf_file(str(tmp_path)) is None
    assert gguf_file("org/name") is None
    assert gguf_file("\0.gguf") is None
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    assert gguf_file(str(tmp_path)) == Path(tmp_path / "model.gguf")
    (tmp_path / "model.safetensors").touch()
    assert gguf_file(str(tmp_path)) is None
