"""Every causal architecture on the miniature world: it trains, predicts and scores; how a run comes to its adapter."""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from small_models import DECODERS
from small_tokenizers import byte_bpe

import run_eval
from harness.api.errors import UserError
from harness.api.model_source import ModelSource
from harness.api.registry import TASK_TYPES
from harness.data.examples import load_examples
from harness.data.locations import DataPlace
from harness.data.worlds import mini
from harness.planning.backbone.folders import adapter_for
from harness.planning.backbone.model_args import adapter_arguments, parse_model_args
from harness.planning.backbone.resolve import Backbone, resolve
from harness.planning.catalog.catalog import Catalog
from harness.planning.precedence import task_options
from harness.prediction.batching import collate
from harness.prediction.evaluation import AskedTask, evaluate
from harness.prediction.questions import question_of
from harness.runtime.machine import Machine
from harness.specs.model_args import LoraArgs
from models.decoder import ARGUMENTS, init_scratch, load, read_sizes, train_tokenizer

CATALOG = Catalog()

RECIPE = {
    "recipe": "tiny",
    "description": "one step of everything",
    "defaults": {"learning_rate": 0.001, "batch_size": 4, "max_steps": 1, "max_examples": 8, "eval_examples": 4},
}
TASKS = ("mini/nli", "mini/commonsenseqa", "mini/tagging", "mini/qa")
"One for each kind of head: sequence, choice, token, span."
LORA = {"lora": {"rank": 2, "alpha": 4}}
MACHINE = Machine(place=DataPlace(), device_name="cpu")


def model(kind: str, folder: Path, *, framed: bool) -> str:
    """A small model, with a tokenizer that puts special tokens around texts, or one that puts nothing."""
    texts = [row["text"] for lang in ("sw", "zh") for row in mini.rows(config="parallel", split="train", lang=lang)[:200]]
    tokenizer = train_tokenizer(texts, vocab_size=1000) if framed else byte_bpe(prefix_space=False)
    settings = {**DECODERS[kind], **({} if kind == "bloom" else {"max_position_embeddings": 600})}
    init_scratch({"model_type": kind, **settings}, tokenizer=tokenizer, folder=folder, seed=1)
    return str(folder)


@pytest.mark.parametrize(
    ("kind", "framed", "extra"),
    [
        ("xglm", True, LORA),
        ("bloom", False, {}),
        ("qwen2", False, LORA),
        ("qwen3", False, {"bidirectional": True}),
        ("llama", True, {}),
        ("gemma3_text", True, {**LORA, "bidirectional": True}),
    ],
)
def test_an_architecture_trains_predicts_and_scores_with_every_head(
    kind: str, framed: bool, extra: dict[str, Any], tmp_path: Path
) -> None:
    source = ModelSource(path=model(kind, tmp_path / "model", framed=framed), dtype="float32", extra=extra)
    specs = {name: CATALOG.task(name).spec for name in TASKS}
    types = {name: TASK_TYPES.load(spec.type) for name, spec in specs.items()}
    options = {
        name: task_options(CATALOG.task(name), recipe=None, preset=None, overrides={}, adapter="decoder").values for name in TASKS
    }
    heads = {name: types[name].head(specs[name], options[name]) for name in TASKS}
    trained = load(source, heads=heads, device="cpu", seed=1, inference=False)
    examples = {
        name: load_examples(spec, split="test", langs=["en"], place=MACHINE.place).examples[:4] for name, spec in specs.items()
    }
    features = {
        name: types[name].encode(examples[name], task=specs[name], tokenizer=trained.tokenizer, options=options[name], train=True)
        for name in TASKS
    }
    before = {name: parameter.detach().clone() for name, parameter in trained.module.named_parameters()}
    optimizer = torch.optim.AdamW([p for p in trained.module.parameters() if p.requires_grad], lr=1e-3)
    for name in TASKS:
        batch = collate(features[name], pad_id=trained.tokenizer.pad_token_id)
        loss = types[name].loss(trained.module(batch, head=name), batch, options[name])
        assert loss.isfinite()
        loss.backward()
    optimizer.step()
    changed = {name for name, parameter in trained.module.named_parameters() if not torch.equal(parameter, before[name])}
    assert {name.split(".")[0] for name in changed} == {"heads", "backbone"}
    assert {"lora_" in name for name in changed if name.startswith("backbone")} == {"lora" in extra}
    trained.save(str(tmp_path / "checkpoint"))
    again = dataclasses.replace(source, checkpoint=str(tmp_path / "checkpoint"))
    predicting = load(again, heads=heads, keep_heads={name: name for name in TASKS}, device="cpu", seed=0, inference=True)
    for name in TASKS:
        question = question_of(types[name], options[name], head=name, asks=None)
        asked = AskedTask(specs[name], types[name], options[name], question)
        both = (trained, predicting)
        scores = [evaluate(model, examples[name], features[name], asked=asked, machine=MACHINE) for model in both]
        assert 0 <= scores[0] <= 100
        if "lora" not in extra:  # merged adapters round differently
            assert scores[0] == scores[1]


def run(root: Path, name: str, model_args: str, **more: str) -> list[dict[str, Any]]:
    """Run tasks with a model folder of `root`; returns the rows of the board."""
    (root / "tiny.yaml").write_text(yaml.safe_dump(RECIPE))
    flags = {
        "--model": str(root / name),
        "--languages": "en,sw",
        "--limit": "3",
        "--recipe": "tiny",
        "--include_path": str(root / "tiny.yaml"),
        "--output_path": str(root / "runs"),
        "--device": "cpu",
        "--model_args": model_args,
        **more,
    }
    assert run_eval.main([*(part for pair in flags.items() for part in pair), "--quiet"]) == 0
    board = json.loads((root / "runs" / "leaderboard.json").read_text())
    rows: list[dict[str, Any]] = board["rows"]
    return rows


def arguments(root: Path, verb: str) -> list[dict[str, Any]]:
    """What each stage of a verb received."""
    return [json.loads(path.read_text())["args"] for path in (root / "runs" / verb).glob("*/args.json")]


def test_a_run_chooses_the_adapter_and_goes_on_with_the_low_rank_adapters_of_each_phase(tmp_path: Path) -> None:
    model("llama", tmp_path / "model", framed=False)
    tasks = "mini/tagging,mini/retrieval"
    rows = run(tmp_path, "model", "lora_rank=2", **{"--tasks": tasks, "--intermediate": "mini/paraphrase", "--keep": "all"})
    found = {("mini/tagging", "en"), ("mini/tagging", "sw"), ("mini/retrieval", "sw")}
    assert {(row["task"], row["lang"]) for row in rows} == found
    stages = arguments(tmp_path, "predict")
    assert {stage["model"]["adapter"] for stage in stages} == {"decoder"}
    options = {stage["task"]: stage["options"] for stage in stages}
    assert options["mini/tagging"]["label_subword"] == "last"
    assert options["mini/retrieval"]["pooling"] == "mean_no_first"
    trained = arguments(tmp_path, "train")
    assert [stage["model"]["extra"] for stage in trained] == [{"lora": {"rank": 2, "alpha": 4}}] * 2
    checkpoints = list((tmp_path / "runs" / "train").glob("*/checkpoint"))
    by_task = {"tagging" if "tagging" in path.parent.name else "paraphrase": path for path in checkpoints}
    assert [path.name for path in sorted((by_task["tagging"] / "adapters").iterdir())] == ["0", "1"]
    first, kept = (by_task[task] / "adapters" / "0" / "adapter_model.safetensors" for task in ("paraphrase", "tagging"))
    assert first.read_bytes() == kept.read_bytes()
    assert not list((tmp_path / "runs").rglob("checkpoint/backbone"))
    # A checkpoint is a model by itself: it knows its base, and answers with its own head.
    backbone = preset(str(by_task["tagging"]), use_own_head=True)
    assert (backbone.adapter, backbone.knobs.path) == ("decoder", str((tmp_path / "model").resolve()))
    whole = preset(str(tmp_path / "model"))
    assert backbone.arguments.fingerprint.endswith("+" + whole.arguments.fingerprint)
    assert backbone.facts["parameters"] == whole.facts["parameters"]
    shutil.rmtree(tmp_path / "model")
    with pytest.raises(UserError, match=r"base.json: the model that .* is not here"):
        preset(str(by_task["tagging"]))


def test_a_plan_knows_that_only_adapters_are_trained(capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["plan", "--tasks", "mini/nli", "--recipe", "mini", "--on", "h100-80gb", "--model", "qwen3-8b-base", "--model_args"]
    assert run_eval.main([*flags, "lora_rank=16"]) == 0
    shown = capsys.readouterr().out
    assert "15.4 GiB  166 MiB" in shown  # weights, and gradients of the adapters alone
    assert "low-rank adapters" in shown
    assert run_eval.main([*flags, "bidirectional=true"]) == 2  # as a whole it does not fit
    whole = capsys.readouterr().out
    assert "low-rank" not in whole
    assert "166 MiB" not in whole


def folder_with(tmp_path: Path, **config: Any) -> str:
    (tmp_path / "config.json").write_text(json.dumps(config))
    return str(tmp_path)


def test_a_folder_says_which_adapter_it_needs(tmp_path: Path) -> None:
    def chosen(**config: Any) -> str:
        return adapter_for(folder_with(tmp_path, **config), revision=None)

    assert chosen(model_type="llama", architectures=["LlamaForCausalLM"]) == "decoder"
    assert chosen(model_type="qwen3", architectures=["Qwen3Model"]) == "decoder"
    assert chosen(model_type="gpt2", architectures=["GPT2LMHeadModel"]) == "decoder"
    assert chosen(model_type="somenew", architectures=["SomeNewForCausalLM"]) == "decoder"
    assert chosen(model_type="gemma3", architectures=["Gemma3ForConditionalGeneration"]) == "decoder"
    assert chosen(model_type="xlm-roberta", architectures=["XLMRobertaForMaskedLM"]) == "encoder"
    assert chosen(model_type="mt5", architectures=["MT5ForConditionalGeneration"], is_encoder_decoder=True) == "encoder"
    assert chosen(model_type="eurobert", architectures=["EuroBertForMaskedLM"]) == "encoder"


def test_a_download_in_the_cache_says_it_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    snapshot = tmp_path / "models--org--name" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    folder_with(snapshot, model_type="bloom", architectures=["BloomModel"])
    assert adapter_for("org/name", revision="abc") == "decoder"
    with pytest.raises(UserError, match="nothing is known of the model 'org/name'"):  # no newest download, and no network
        adapter_for("org/name", revision=None)
    (tmp_path / "models--org--name" / "refs").mkdir()
    (tmp_path / "models--org--name" / "refs" / "main").write_text("abc\n")
    assert adapter_for("org/name", revision=None) == "decoder"


def test_settings_of_lora_are_settled_and_checked() -> None:
    def extra(text: str, adapter: str = "decoder") -> dict[str, Any]:
        return adapter_arguments(parse_model_args(text).model, adapter=adapter)

    assert extra("") == extra("lora_rank=0") == extra("bidirectional=false") == {}
    assert extra("lora_rank=16") == {"lora": {"rank": 16, "alpha": 32}}
    assert extra("lora_rank=8,lora_alpha=8,lora_dropout=0.1,lora_targets=v_proj|q_proj,bidirectional=true") == {
        "bidirectional": True,
        "lora": {"rank": 8, "alpha": 8, "dropout": 0.1, "targets": ["q_proj", "v_proj"]},
    }
    for wrong, words in (
        ("lora_rank=-1", "lora_rank: input should be greater than or equal to 0"),
        ("lora_rank=many", "lora_rank: input should be a valid integer"),
        ("lora_alpha=8", "says nothing without lora_rank"),
        ("lora_rank=4,lora_alpha=0", "lora_alpha: input should be greater than 0"),
        ("lora_rank=4,lora_dropout=1", "lora_dropout: input should be less than 1"),
    ):
        with pytest.raises(UserError, match=words):
            extra(wrong)
    with pytest.raises(UserError, match=r"'finetuned' does not know 'bidirectional'(.|\n)*'finetuned' does not know 'lora_rank'"):
        extra("lora_rank=4,bidirectional=true", "finetuned")
    assert set(ARGUMENTS) == set(LoraArgs.model_fields)


def preset(name: str, args: str = "", *, use_own_head: bool = False) -> Backbone:
    return resolve(name, args, catalog=CATALOG, use_own_head=use_own_head)


def test_presets_and_what_all_decoders_need() -> None:
    backbone = preset("qwen3-0.6b-base", "lora_rank=4,label_subword=first")
    assert backbone.arguments.extra == {"lora": {"rank": 4, "alpha": 8}}
    assert backbone.capabilities() == ("fit", "forward_head", "embed", "loglikelihood", "generate")
    for name, key, value, origin in (
        ("panx", "label_subword", "last", "adapter decoder"),
        ("tatoeba", "pooling", "mean_no_first", "adapter decoder"),
        ("bucc2018", "pooling", "mean_no_first", "adapter decoder"),
    ):
        settled = task_options(CATALOG.task(name), recipe=None, preset=backbone.preset, overrides={}, adapter=backbone.adapter)
        assert (getattr(settled.values, key), settled.origin[key]) == (value, origin)
    settled = task_options(
        CATALOG.task("panx"), recipe=None, preset=backbone.preset, overrides=backbone.options, adapter=backbone.adapter
    )
    assert (settled.values.label_subword, settled.origin["label_subword"]) == ("first", "--model_args")
    # Not fine-tuned, it is asked in words: nothing says that its repository holds a head.
    assert preset("qwen3-0.6b-base", use_own_head=True).adapter == "decoder"
    assert preset("Qwen/Qwen3-8B-Base").preset.spec.preset == "qwen3-8b-base"


def test_a_folder_has_the_preset_of_its_name_whatever_its_capitals(tmp_path: Path) -> None:
    folder = tmp_path / "SmolLM2-135M-Instruct"
    model("llama", folder, framed=False)
    backbone = preset(str(folder))
    assert (backbone.name, backbone.adapter) == ("smollm2-135m-instruct", "decoder")


def test_sizes_of_a_folder_are_those_of_the_model(tmp_path: Path) -> None:
    for kind in ("qwen2", "llama", "bloom", "xglm"):  # with an output matrix of its own, and without
        folder = model(kind, tmp_path / kind, framed=True)
        facts = preset(folder).facts
        assert {key: facts[key] for key in read_sizes(folder)} == read_sizes(folder)
