"""Where models come from: folders good and bad, .bin files, the hub's cache, pretrained LM heads, models made from nothing."""

import json
import shutil
from pathlib import Path

import huggingface_hub.constants
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from small_models import CONFIGS, TEXTS, batch_of, make_folder, tokenizer
from transformers import AutoTokenizer, BertForMaskedLM, ModernBertForMaskedLM, MT5ForConditionalGeneration, XLMRobertaForMaskedLM

from harness.api.errors import UserError
from harness.api.model_source import ModelSource
from harness.api.protocols import HeadSpec, Pooling
from models.encoder import load, read_sizes
from models.loading import conversion
from models.loading.files import locate, read_tensors
from models.loading.pretrained import count_sizes
from models.loading.scratch import init_scratch, train_tokenizer

MLM = {"mlm": HeadSpec(kind="mlm", num_outputs=0)}


@pytest.fixture
def xlmr(tmp_path):
    return Path(make_folder("xlm-roberta", tmp_path / "xlmr"))


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XLIFT_CACHE_DIR", str(tmp_path / "cache"))


def open_model(path, *, heads=None, **source):
    return load(ModelSource(path=str(path), dtype="float32", **source), heads=heads or {}, device="cpu", seed=1, inference=True)


def change_config(folder: Path, **changes) -> None:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    kept = {name: value for name, value in (config | changes).items() if value is not None}
    (folder / "config.json").write_text(json.dumps(kept), encoding="utf-8")


def pickle_weights(folder: Path, *, parts: int = 1, old_format: bool = False) -> dict[str, torch.Tensor]:
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(weights)
    for part in range(parts):
        file = "pytorch_model.bin" if parts == 1 else f"pytorch_model-{part + 1:05}-of-{parts:05}.bin"
        torch.save(
            {name: weights[name] for name in names[part::parts]}, folder / file, _use_new_zipfile_serialization=not old_format
        )
    return weights


@pytest.mark.parametrize(("parts", "old_format"), [(1, False), (1, True), (3, False)])
def test_bin_files_are_converted_once(xlmr, parts, old_format):
    before = open_model(xlmr).embed(batch_of(), Pooling())
    pickle_weights(xlmr, parts=parts, old_format=old_format)
    model = open_model(xlmr)
    np.testing.assert_array_equal(model.embed(batch_of(), Pooling()), before)
    converted = locate(str(xlmr))
    assert converted != xlmr
    shards = sorted(converted.glob("*.safetensors"))
    assert len(shards) == parts
    written = [shard.stat().st_mtime_ns for shard in shards]
    assert locate(str(xlmr)) == converted
    assert [shard.stat().st_mtime_ns for shard in shards] == written
    assert not list(converted.parent.glob(".making*"))


def test_tied_tensors_in_a_bin_file_are_both_kept(xlmr):
    weights = pickle_weights(xlmr)
    words = weights["embeddings.word_embeddings.weight"]
    torch.save({"lm_head.decoder.weight": words, **weights}, xlmr / "pytorch_model.bin")
    converted = load_file(locate(str(xlmr)) / "model.safetensors")
    assert torch.equal(converted["lm_head.decoder.weight"], converted["embeddings.word_embeddings.weight"])


def test_large_bin_files_become_several_with_an_index(xlmr, monkeypatch):
    pickle_weights(xlmr)
    monkeypatch.setattr(conversion, "SHARD", 50_000)
    folder = locate(str(xlmr))
    assert len(list(folder.glob("model-*.safetensors"))) > 1
    assert open_model(xlmr).embed(batch_of(), Pooling())[0].shape == (32,)
    assert set(read_tensors(folder, ["embeddings.LayerNorm.bias", "nothing"])) == {"embeddings.LayerNorm.bias"}


class Danger:
    def __reduce__(self):
        return (print, ("run",))


def test_a_bin_file_that_would_run_code_is_refused(xlmr, capsys):
    (xlmr / "model.safetensors").unlink()
    torch.save({"weight": Danger()}, xlmr / "pytorch_model.bin")
    with pytest.raises(UserError, match="cannot read these weights"):
        locate(str(xlmr))
    assert "run" not in capsys.readouterr().out.split()
    torch.save({"step": 3}, xlmr / "pytorch_model.bin")
    with pytest.raises(UserError, match="'step' is no tensor"):
        locate(str(xlmr))


def test_a_wrong_model_type_is_corrected_on_request(tmp_path):
    folder = Path(make_folder("xlm-roberta-xl", tmp_path / "xxl"))
    before = open_model(folder).embed(batch_of(), Pooling())
    change_config(folder, model_type="xlm-roberta")
    with pytest.raises(UserError, match=r"do not fit XLMRobertaModel(.|\n)*model_type="):
        open_model(folder)
    model = open_model(folder, extra={"model_type": "xlm-roberta-xl"})
    np.testing.assert_array_equal(model.embed(batch_of(), Pooling()), before)


def test_what_is_no_model(tmp_path, xlmr):
    for path in (tmp_path / "nothing", "./nothing", "a/b/c"):
        with pytest.raises(UserError, match=r"no folder(.|\n)*expected: a preset, a hub id"):
            open_model(path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"no config\.json"):
        open_model(tmp_path / "empty")
    shutil.copytree(xlmr, tmp_path / "bare")
    (tmp_path / "bare" / "model.safetensors").unlink()
    with pytest.raises(UserError, match="holds no weights"):
        open_model(tmp_path / "bare")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"model_type": "frobnicate"}', r"configuration(.|\n)*expected: JSON with a `model_type`"),
        ('{"hidden_size": 3}', r"configuration(.|\n)*expected: JSON with a `model_type`"),
        ('{"model_type": "xlm-roberta", "num_hidden_layers": "x"}', r"configuration(.|\n)*found: \w+Error: .*num_hidden_layers"),
        ('{"model_type": "xlm-roberta", "id2label": ["a", "b"]}', r"configuration(.|\n)*found: \w+Error"),
        ("{", r"config.json: cannot read this file of a model"),
        ("[]", r"config.json: cannot read this file of a model"),
    ],
)
def test_unknown_or_broken_configurations(xlmr, text, words):
    (xlmr / "config.json").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=words):
        open_model(xlmr)


def test_decoders_are_refused(xlmr):
    for model_type in ("gpt2", "qwen2", "bart"):
        change_config(xlmr, model_type=model_type)
        with pytest.raises(UserError, match=f"'{model_type}' is no encoder"):
            open_model(xlmr)


def test_weights_that_lack_a_tensor_or_are_cut_off(xlmr):
    weights = load_file(xlmr / "model.safetensors")
    missing = "encoder.layer.1.output.dense.weight"
    save_file(
        {name: tensor for name, tensor in weights.items() if name != missing},
        xlmr / "model.safetensors",
        metadata={"format": "pt"},
    )
    with pytest.raises(UserError, match=missing):
        open_model(xlmr)
    whole = (xlmr / "model.safetensors").read_bytes()
    (xlmr / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"model.safetensors: cannot read these weights(.|\n)*where its header tells of"):
        open_model(xlmr)


def test_weights_of_another_shape(xlmr):
    change_config(xlmr, intermediate_size=128)
    with pytest.raises(UserError, match=r"do not fit XLMRobertaModel(.|\n)*found: 9 tensors"):
        open_model(xlmr)


def test_tokenizers_that_do_not_belong(xlmr, tmp_path):
    big = train_tokenizer([" ".join(f"w{number}" for number in range(300))], vocab_size=300)
    big.save_pretrained(tmp_path / "big")
    with pytest.raises(UserError, match="do not belong together"):
        open_model(xlmr, tokenizer=str(tmp_path / "big"))
    with pytest.raises(UserError, match="no tokenizer class 'Nonsense'"):
        open_model(xlmr, extra={"tokenizer_class": "Nonsense"})
    change_config(xlmr, pad_token_id=3)
    with pytest.raises(UserError, match="disagree on the padding token"):
        open_model(xlmr)
    (xlmr / "tokenizer.json").unlink()
    with pytest.raises(UserError, match="cannot load a tokenizer"):
        open_model(xlmr)


def test_type_ids_that_mean_nothing_are_not_passed_on(tmp_path):
    folder = make_folder("bert", tmp_path / "bert")
    model, batch = open_model(folder), batch_of()
    plain = model.embed(batch, Pooling())
    batch.type_ids = torch.ones_like(batch.input_ids)
    np.testing.assert_array_equal(model.embed(batch, Pooling()), plain)  # a tokenizer without types, as Multilingual-MiniLM's
    settings = json.loads(Path(folder, "tokenizer_config.json").read_text(encoding="utf-8"))
    settings["model_input_names"] = ["input_ids", "token_type_ids", "attention_mask"]
    Path(folder, "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    assert not np.allclose(open_model(folder).embed(batch, Pooling())[0], plain[0])


def test_hub_ids_come_from_the_cache_or_say_what_to_do(xlmr, tmp_path, monkeypatch):
    cache = tmp_path / "hub"
    commit = "0123456789012345678901234567890123456789"
    shutil.copytree(xlmr, cache / "models--org--name" / "snapshots" / commit)
    (cache / "models--org--name" / "refs").mkdir()
    (cache / "models--org--name" / "refs" / "main").write_text(commit, encoding="utf-8")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    np.testing.assert_array_equal(
        open_model("org/name").embed(batch_of(), Pooling()), open_model(xlmr).embed(batch_of(), Pooling())
    )
    assert read_sizes("org/name") == read_sizes(str(xlmr))
    open_model("org/name", revision=commit)
    with pytest.raises(UserError, match=r"cannot get the model 'org/other'(.|\n)*to do: check the name"):
        open_model("org/other")
    with pytest.raises(UserError, match="at revision 'v2'"):
        open_model("org/name", revision="v2")


@pytest.mark.parametrize(
    ("kind", "model_class"),
    [("xlm-roberta", XLMRobertaForMaskedLM), ("bert", BertForMaskedLM), ("modernbert", ModernBertForMaskedLM)],
)
def test_a_pretrained_lm_head_is_taken_over(tmp_path, kind, model_class):
    folder = make_folder(kind, tmp_path / kind)
    torch.manual_seed(3)
    whole = model_class.from_pretrained(folder).eval()
    with torch.no_grad():
        for name, parameter in whole.named_parameters():
            if "lm_head" in name or "cls." in name or "head." in name or "bias" in name:
                parameter.normal_(0, 0.3)
    whole.save_pretrained(folder)
    batch = batch_of()
    model = open_model(folder, heads=MLM)
    expected = whole(input_ids=batch.input_ids, attention_mask=batch.attention_mask).logits.detach()[batch.labels != -100]
    np.testing.assert_allclose(np.concatenate(model.forward_head(batch, "mlm")), expected, atol=1e-5)
    model.save(str(tmp_path / "trained"))
    later = open_model(folder, heads=MLM, checkpoint=str(tmp_path / "trained"))  # not kept: the pretrained one again
    np.testing.assert_allclose(np.concatenate(later.forward_head(batch, "mlm")), expected, atol=1e-5)
    fresh = open_model(tmp_path / "trained", heads=MLM)
    assert not np.allclose(np.concatenate(fresh.forward_head(batch, "mlm")), expected, atol=1e-2)


def test_the_encoder_half_of_a_whole_t5_is_enough(tmp_path):
    folder = tmp_path / "mt5"
    make_folder("mt5", folder)
    encoder_only = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    settings = {key: encoder_only[key] for key in ("vocab_size", "d_model", "d_kv", "d_ff", "num_layers", "num_heads")}
    config = MT5ForConditionalGeneration.config_class(**settings, decoder_start_token_id=1, pad_token_id=1)
    torch.manual_seed(1)
    whole = MT5ForConditionalGeneration(config).eval()
    whole.save_pretrained(folder)
    batch = batch_of()
    model = open_model(folder)
    expected = whole.get_encoder()(input_ids=batch.input_ids, attention_mask=batch.attention_mask).last_hidden_state
    np.testing.assert_allclose(model.embed(batch, Pooling(method="first")), expected[:, 0].detach().numpy(), atol=1e-5)
    assert count_sizes(model.module.backbone, model.module.body.config) == read_sizes(str(folder))


def test_the_trained_tokenizer(tmp_path):
    made = train_tokenizer(TEXTS, vocab_size=12)
    vocabulary = sorted(made.get_vocab(), key=made.get_vocab().__getitem__)
    assert vocabulary == ["<s>", "<pad>", "</s>", "<unk>", "<mask>", "the", ".", ",", "Anna", "Hause", "Hunde", "a"]
    assert made.get_vocab() == train_tokenizer(iter(TEXTS), vocab_size=12).get_vocab()
    text = "the  old,\u0915\u093f\u0924\u093e\u092c a."
    encoded = made(text, return_offsets_mapping=True)
    assert [text[start:end] for start, end in encoded["offset_mapping"]] == [
        "", "the", "old", ",", "\u0915\u093f\u0924\u093e\u092c", "a", ".", ""
    ]  # fmt: skip
    assert made.convert_ids_to_tokens(made("a", "the")["input_ids"]) == ["<s>", "a", "</s>", "</s>", "the", "</s>"]
    assert set(encoded) == {"input_ids", "attention_mask", "offset_mapping"}
    words = made(["the", "cat"], is_split_into_words=True)
    assert words.word_ids() == [None, 0, 1, None]
    made.save_pretrained(tmp_path)
    assert AutoTokenizer.from_pretrained(tmp_path)(text)["input_ids"] == encoded["input_ids"]
    with pytest.raises(UserError, match="no room for words"):
        train_tokenizer(TEXTS, vocab_size=5)


def test_models_from_nothing_follow_their_seed(tmp_path):
    def made(name: str, seed: int) -> bytes:
        make_folder("xlm-roberta", tmp_path / name, seed=seed)
        return (tmp_path / name / "model.safetensors").read_bytes()

    state = torch.get_rng_state()
    assert made("a", 1) == made("b", 1) != made("c", 2)
    assert torch.equal(torch.get_rng_state(), state)
    config = json.loads((tmp_path / "a" / "config.json").read_text(encoding="utf-8"))
    assert config["vocab_size"] == len(tokenizer())
    assert config["pad_token_id"] == tokenizer().pad_token_id
    assert AutoTokenizer.from_pretrained(tmp_path / "a").model_max_length == 38
    with pytest.raises(UserError, match="model_type 'robertina'"):
        init_scratch({**CONFIGS["bert"], "model_type": "robertina"}, tokenizer=tokenizer(), folder=tmp_path / "d", seed=1)
