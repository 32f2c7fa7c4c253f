"""The decoder adapter with a small model of every architecture: heads, pooling, padding, attention, LoRA, saving."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from small_models import DECODERS, HEADS, TEXTS, features_of, make_folder
from small_tokenizers import byte_bpe
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from harness.batching import collate
from harness.errors import UserError
from harness.protocols import Batch, Feature, HeadSpec, ModelSource, Pooling
from models import decoder, encoder
from models._lora import adapter_folders, combine_adapters, merge_adapters
from models.decoder import Decoder, load

ALL = pytest.mark.parametrize("kind", sorted(DECODERS))
OWN = {name: spec for name, spec in HEADS.items() if spec.kind != "mlm"} | {"say": HeadSpec(kind="lm", num_outputs=0)}
LORA = {"lora": {"rank": 4, "alpha": 8}}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    return {kind: make_folder(kind, root / kind) for kind in DECODERS}


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A model like SmolLM2 and Qwen: its tokenizer puts nothing around a text and pads with the token that ends it."""
    return make_folder("llama", tmp_path_factory.mktemp("plain"), own=byte_bpe(prefix_space=False))


def loaded(path: str, *, inference: bool = True, heads=OWN, seed: int = 1, keep=(), **source) -> Decoder:
    settings = {"dtype": "float32", **source}
    kept = {name: name for name in keep}
    return load(ModelSource(path=path, **settings), heads=heads, keep_heads=kept, device="cpu", seed=seed, inference=inference)


def batch_of(texts=TEXTS, tokenizer: PreTrainedTokenizerFast | None = None) -> Batch:
    if tokenizer is None:
        return collate(features_of(texts), pad_id=1)
    made = [Feature(example=number, input_ids=tokenizer(text)["input_ids"]) for number, text in enumerate(texts)]
    return collate(made, pad_id=tokenizer.pad_token_id)


def outputs_of(model: Decoder, texts=TEXTS) -> dict[str, list[np.ndarray]]:
    """Outputs of all heads, and vectors."""
    batch = batch_of(texts)
    return {name: model.forward_head(batch, name) for name in model.heads} | {"vectors": model.embed(batch, Pooling())}


def everything(model: Decoder, texts=TEXTS) -> dict[str, list[np.ndarray]]:
    """Outputs of all heads, and vectors of all kinds."""
    batch, found = batch_of(texts), outputs_of(model, texts)
    for method in ("mean_no_first", "first", "last"):
        found |= {f"{method} {layer}": model.embed(batch, Pooling(method=method, layer=layer)) for layer in (0, 2, -1)}
    return found


def same(left, right, *, atol: float = 0.0) -> None:
    assert left.keys() == right.keys()
    for name, values in left.items():
        for one, other in zip(values, right[name], strict=True):
            np.testing.assert_allclose(one, other, atol=atol, rtol=0, err_msg=name)


@ALL
def test_outputs_have_the_shapes_of_the_contract_and_padding_changes_nothing(folders, kind):
    model = loaded(folders[kind])
    together = everything(model)
    lengths = [len(feature.input_ids) for feature in features_of(TEXTS)]
    assert len(set(lengths)) == 3
    assert [value.shape for value in together["nli"]] == [(3,)] * 3
    assert [value.shape for value in together["pick"]] == [()] * 3
    assert [value.shape for value in together["xtreme/tags.v1"]] == [(length, 5) for length in lengths]
    assert [value.shape for value in together["qa"]] == [(length, 2) for length in lengths]
    assert [value.shape for value in together["say"]] == [(2, len(model.tokenizer))] * 3
    assert [value.shape for value in together["vectors"]] == [(32,)] * 3
    for number, text in enumerate(TEXTS):
        for name, alone in everything(model, [text]).items():
            np.testing.assert_allclose(together[name][number], alone[0], atol=1e-5, rtol=0, err_msg=f"{name}: {text}")


@ALL
def test_hidden_states_of_every_layer_are_those_of_the_model(folders, kind):
    model, batch = loaded(folders[kind], heads={}), batch_of()
    states = model.module.body(
        input_ids=batch.input_ids, attention_mask=batch.attention_mask, output_hidden_states=True
    ).hidden_states
    assert len(states) == 4
    for layer in range(4):
        last = model.embed(batch, Pooling(method="last", layer=layer))
        for number, feature in enumerate(batch.features):
            np.testing.assert_array_equal(last[number], states[layer][number, len(feature.input_ids) - 1].detach().numpy())


def test_the_last_token_is_found_by_the_mask_even_where_it_is_the_padding_token(plain):
    model = loaded(plain, heads={"nli": OWN["nli"]})
    end = model.tokenizer.eos_token_id
    assert model.tokenizer.pad_token_id == end
    ids = model.tokenizer("the cat")["input_ids"]
    rows = [ids, [*ids, end], [*ids, end, end], ids * 3]
    batch = collate([Feature(example=n, input_ids=row) for n, row in enumerate(rows)], pad_id=end)
    found, states = model.embed(batch, Pooling(method="last")), model.module.hidden(batch, layer=3)
    for number, row in enumerate(rows):
        np.testing.assert_array_equal(found[number], states[number, len(row) - 1].numpy())
    assert not np.allclose(found[0], found[1], atol=1e-3)
    assert not np.allclose(found[1], found[2], atol=1e-3)
    for number, row in enumerate(rows):
        alone = collate([Feature(example=0, input_ids=row)], pad_id=0)
        np.testing.assert_allclose(model.forward_head(alone, "nli")[0], model.forward_head(batch, "nli")[number], atol=1e-5)


def test_pooling_leaves_out_no_word_whether_or_not_the_tokenizer_puts_a_token_first(plain, folders):
    """Causal models rest their attention on the first token: it must not be a word of the text, nor be in the mean."""
    bare, framed = loaded(plain, heads={}), loaded(folders["llama"], heads={})
    assert (bare.module.first, framed.module.first) == (bare.tokenizer.eos_token_id, None)
    assert bare.max_positions == framed.max_positions - 1 == 79
    for model, dropped in ((bare, 0), (framed, 1)):
        batch = batch_of(["the cat sat", "one", "home"], model.tokenizer)
        for layer in (2, 3):
            found, states = (
                model.embed(batch, Pooling(method="mean_no_first", layer=layer)),
                model.module.hidden(batch, layer=layer),
            )
            for number, feature in enumerate(batch.features):
                words = states[number, dropped : len(feature.input_ids)].mean(0)
                np.testing.assert_allclose(found[number], words.numpy(), atol=1e-6)
    # What the inner states are made behind is that very token.
    ids = bare.tokenizer("the cat sat")["input_ids"]
    with_it = bare.module.body(input_ids=torch.tensor([[bare.module.first, *ids]])).last_hidden_state[0, 1:]
    bare_batch = collate([Feature(example=0, input_ids=ids)], pad_id=0)
    torch.testing.assert_close(bare.module.hidden(bare_batch, layer=3)[0], with_it)
    # Likelihoods see the tokens as they are given.
    asked = Feature(example=0, input_ids=ids[:1], continuations=[ids[1:]])
    logits = bare.module.backbone(input_ids=torch.tensor([ids])).logits[0].log_softmax(-1)
    expected = sum(float(logits[n, token]) for n, token in enumerate(ids[1:]))
    assert bare.loglikelihood([asked])[0][0, 0] == pytest.approx(expected, abs=1e-4)


def test_a_separator_of_documents_comes_first_where_the_vocabulary_has_one(tmp_path):
    tokenizer = byte_bpe(prefix_space=False)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|endoftext|>"]})
    model = loaded(make_folder("qwen2", tmp_path, own=tokenizer), heads={})
    assert model.module.first == tokenizer.convert_tokens_to_ids("<|endoftext|>") != tokenizer.eos_token_id


def test_tokens_that_the_model_does_not_know_are_not_used(tmp_path):
    """A tokenizer without a padding token, or with one beyond the embeddings, pads with the end; so it is with the first."""
    for number, added in enumerate(([], ["<pad>", "<|endoftext|>"])):
        tokenizer = byte_bpe(prefix_space=False)
        tokenizer.pad_token = None
        folder = make_folder("qwen3", tmp_path / str(number), own=tokenizer)
        tokenizer.add_special_tokens({"pad_token": "<pad>", "additional_special_tokens": added[1:]} if added else {})
        tokenizer.save_pretrained(folder)
        model = loaded(folder, heads={})
        assert len(model.tokenizer) == 330 + len(added)
        assert model.tokenizer.pad_token == model.tokenizer.eos_token == "</s>"
        assert model.module.first == model.tokenizer.eos_token_id


@ALL
def test_gradients_reach_the_embeddings_through_every_head(folders, kind):
    model, batch = loaded(folders[kind], inference=False), batch_of()
    embeddings = model.module.backbone.get_input_embeddings().weight
    asked = [{"head": name} for name in OWN] + [{"pooling": Pooling(layer=2)}]
    for checkpointing in (False, True):
        if checkpointing:
            model.module.enable_gradient_checkpointing()
        for what in asked:
            model.module.zero_grad()
            model.module(batch, **what).float().square().sum().backward()
            first = batch.input_ids[0, 0]  # what all later tokens have seen
            assert embeddings.grad[first].abs().sum() > 0, what


@ALL
def test_a_later_token_changes_an_earlier_state_only_if_bidirectional(folders, kind):
    batch = batch_of(["a cat sat on the mat .", "a cat sat on the sea ."])
    longer = batch_of(["a cat sat on the mat .", "a cat sat on the sea .", TEXTS[0]])  # with padding
    assert (batch.input_ids[0] != batch.input_ids[1]).sum() == 1
    heads = {name: spec for name, spec in OWN.items() if spec.kind != "lm"}
    causal = loaded(folders[kind], heads=heads).module.hidden(batch, layer=3)
    assert torch.equal(causal[0, :6], causal[1, :6])
    if kind == "bloom":
        with pytest.raises(UserError, match="'bloom' cannot attend to later tokens"):
            loaded(folders[kind], heads=heads, extra={"bidirectional": True})
        return
    model = loaded(folders[kind], heads=heads, extra={"bidirectional": True})
    for rows in (batch, longer):
        states = model.module.hidden(rows, layer=3)
        assert (states[0, :6] - states[1, :6]).abs().amax(-1).min() > 1e-6
    together = outputs_of(model)
    for number, text in enumerate(TEXTS):
        for name, alone in outputs_of(model, [text]).items():
            np.testing.assert_allclose(together[name][number], alone[0], atol=1e-5, rtol=0, err_msg=name)
    with pytest.raises(UserError, match="sees what it is to predict"):
        model.loglikelihood([])


@ALL
def test_a_checkpoint_comes_back_and_is_an_ordinary_causal_language_model(folders, kind, tmp_path):
    model = loaded(folders[kind], inference=False, seed=7)
    with torch.no_grad():
        for parameter in model.module.parameters():
            parameter.add_(0.01)
    model.save(str(tmp_path / "once"))
    again = loaded(folders[kind], checkpoint=str(tmp_path / "once"), keep=OWN)
    same(outputs_of(again), outputs_of(model))
    again.save(str(tmp_path / "twice"))
    for file in ("backbone/model.safetensors", "heads.safetensors", "heads.json", "decoder.json"):
        assert (tmp_path / "once" / file).read_bytes() == (tmp_path / "twice" / file).read_bytes()
    ordinary = AutoModelForCausalLM.from_pretrained(tmp_path / "once" / "backbone").eval()
    batch = batch_of(TEXTS[:1])
    torch.testing.assert_close(
        ordinary(input_ids=batch.input_ids).logits, again.module.backbone(input_ids=batch.input_ids).logits
    )
    assert json.loads((tmp_path / "once" / "heads.json").read_text())["nli"]["pooling"] == "last"
    assert not (tmp_path / "once" / "adapters").exists()
    same(outputs_of(loaded(str(tmp_path / "once"), keep=OWN)), outputs_of(model))


def test_a_bidirectional_checkpoint_stays_so(folders, tmp_path):
    heads = {"nli": OWN["nli"]}
    for kind in ("qwen2", "gemma3_text"):
        for extra in ({"bidirectional": True}, {"bidirectional": True, **LORA}):
            model = loaded(folders[kind], inference=False, heads=heads, extra=extra)
            folder = str(tmp_path / f"{kind}{len(extra)}")
            model.save(folder)
            same(outputs_of(loaded(folders[kind], heads=heads, checkpoint=folder, keep=heads)), outputs_of(model))


def stepped(model: Decoder, batch: Batch, heads) -> Decoder:
    """A few steps of training."""
    optimizer = torch.optim.AdamW([p for p in model.module.parameters() if p.requires_grad], lr=0.05)
    for _ in range(2):
        for head in heads:
            model.module(batch, head=head).float().square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    return model


@ALL
def test_lora_trains_its_own_weights_and_heads_and_nothing_else(folders, kind, tmp_path):
    before = {name: value.clone() for name, value in load_file(Path(folders[kind]) / "model.safetensors").items()}
    model, batch = loaded(folders[kind], inference=False, extra=LORA), batch_of()
    same(outputs_of(model), outputs_of(loaded(folders[kind])), atol=1e-6)  # nothing is changed at first
    trained = {name for name, parameter in model.module.named_parameters() if parameter.requires_grad}
    assert trained == {name for name, _ in model.module.named_parameters() if "lora_" in name or name.startswith("heads.")}
    num_linear = len([name for name in trained if "lora_A" in name])
    assert num_linear == 3 * {"xglm": 6, "bloom": 4}.get(kind, 7)  # all linear layers but the LM head
    stepped(model, batch, OWN)
    for name, parameter in model.module.backbone.named_parameters():
        if "lora_" not in name:
            assert torch.equal(parameter, before[name.replace(".base_layer", "")]), name
    model.save(str(tmp_path / "one"))
    assert sorted(path.name for path in (tmp_path / "one").iterdir() if path.is_dir()) == ["adapters"]
    again = loaded(folders[kind], checkpoint=str(tmp_path / "one"), keep=OWN)
    assert not [name for name, _ in again.module.named_parameters() if "lora_" in name]  # merged
    same(outputs_of(again), outputs_of(model), atol=1e-4)
    assert not np.allclose(outputs_of(again)["vectors"][0], outputs_of(loaded(folders[kind]))["vectors"][0], atol=1e-2)


def test_a_chain_of_lora_phases_goes_on_from_all_earlier_ones(folders, tmp_path):
    base, batch = folders["llama"], batch_of()
    first = stepped(loaded(base, inference=False, extra=LORA, seed=1), batch, OWN)
    first.save(str(tmp_path / "first"))
    second = loaded(base, inference=False, extra=LORA, seed=2, checkpoint=str(tmp_path / "first"), keep=["qa"])
    found, expected = outputs_of(second), outputs_of(first)
    np.testing.assert_allclose(found["vectors"][0], expected["vectors"][0], atol=1e-4)
    np.testing.assert_allclose(found["qa"][0], expected["qa"][0], atol=1e-4)
    assert not np.allclose(found["nli"][0], expected["nli"][0])  # a fresh head
    stepped(second, batch, OWN).save(str(tmp_path / "second"))
    assert sorted(path.name for path in (tmp_path / "second" / "adapters").iterdir()) == ["0", "1"]
    for file in ("adapter_model.safetensors", "adapter_config.json"):
        old, new = (tmp_path / name / "adapters" / "0" / file for name in ("first", "second"))
        assert old.read_bytes() == new.read_bytes()
    same(outputs_of(loaded(base, checkpoint=str(tmp_path / "second"), keep=OWN)), outputs_of(second), atol=1e-4)
    # By itself the folder knows its base; full fine-tuning on top of it writes the merged weights.
    same(outputs_of(loaded(str(tmp_path / "second"), keep=OWN)), outputs_of(second), atol=1e-4)
    whole = stepped(loaded(str(tmp_path / "second"), inference=False, keep=OWN), batch, OWN)
    whole.save(str(tmp_path / "whole"))
    assert not (tmp_path / "whole" / "adapters").exists()
    third = stepped(loaded(base, inference=False, extra=LORA, checkpoint=str(tmp_path / "whole"), keep=OWN), batch, OWN)
    third.save(str(tmp_path / "third"))  # only the checkpoint has that backbone: it goes along
    same(outputs_of(loaded(base, checkpoint=str(tmp_path / "third"), keep=OWN)), outputs_of(third), atol=1e-4)


def test_one_adapter_does_what_several_do(folders, tmp_path):
    base, batch = folders["qwen3"], batch_of()
    narrow = {"lora": {"rank": 2, "alpha": 6, "targets": ("q_proj", "up_proj")}}
    stepped(loaded(base, inference=False, extra=LORA), batch, OWN).save(str(tmp_path / "first"))
    second = loaded(base, inference=False, extra=narrow, checkpoint=str(tmp_path / "first"))
    stepped(second, batch, OWN).save(str(tmp_path / "second"))
    combine_adapters(adapter_folders(tmp_path / "second"), tmp_path / "combined")
    served = AutoModelForCausalLM.from_pretrained(base).eval()
    merge_adapters(served, [tmp_path / "combined"])
    assert json.loads((tmp_path / "combined" / "adapter_config.json").read_text())["r"] == 6
    expected = loaded(base, heads={}, checkpoint=str(tmp_path / "second")).module.backbone
    ids = batch.input_ids[:1]
    torch.testing.assert_close(served(input_ids=ids).logits, expected(input_ids=ids).logits, atol=1e-4, rtol=1e-4)


def test_lora_is_reproducible_and_leaves_the_global_generator_alone(folders, tmp_path):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    for number, seed in enumerate((3, 3, 4)):
        loaded(folders["qwen3"], inference=False, extra=LORA, seed=seed).save(str(tmp_path / str(number)))
    assert torch.equal(torch.rand(3), expected)
    weights, twin, other = ((tmp_path / str(n) / "adapters" / "0" / "adapter_model.safetensors").read_bytes() for n in range(3))
    assert weights == twin != other
    configs = {(tmp_path / str(n) / "adapters" / "0" / "adapter_config.json").read_bytes() for n in range(3)}
    assert len(configs) == 1


def test_a_state_of_lora_holds_what_is_trained_and_is_taken_up_again(folders):
    model, batch = loaded(folders["llama"], inference=False, extra=LORA), batch_of()
    stepped(model, batch, OWN)
    state = model.module.state_dict()
    assert state.keys() == {name for name, parameter in model.module.named_parameters() if parameter.requires_grad}
    fresh = loaded(folders["llama"], inference=False, extra=LORA, seed=9)
    fresh.module.load_state_dict(state)
    same(outputs_of(fresh), outputs_of(model))
    state.pop("heads.qa.output.bias")
    with pytest.raises(RuntimeError, match="qa"):
        fresh.module.load_state_dict(state)


def test_lora_on_named_modules_and_on_a_bfloat16_base(folders, tmp_path):
    extra = {"lora": {"rank": 2, "alpha": 4, "dropout": 0.1, "targets": ("q_proj", "v_proj")}}
    model, batch = loaded(folders["qwen2"], inference=False, extra=extra, dtype="bfloat16"), batch_of()
    types = {"lora_" in name or name.startswith("heads."): p.dtype for name, p in model.module.named_parameters()}
    assert types == {True: torch.float32, False: torch.bfloat16}
    adapted = {name.split(".lora_")[0].rpartition(".")[2] for name, _ in model.module.named_parameters() if "lora_" in name}
    assert adapted == {"q_proj", "v_proj"}
    heads = ("nli", "qa")
    model.module.enable_gradient_checkpointing()  # though nothing before the adapters wants gradients
    with torch.autocast("cpu", dtype=torch.bfloat16):
        stepped(model, batch, heads)
    assert all(p.any() for n, p in model.module.named_parameters() if "lora_B" in n)  # they were 0
    model.save(str(tmp_path / "trained"))
    again = loaded(folders["qwen2"], checkpoint=str(tmp_path / "trained"), keep=heads, heads={n: OWN[n] for n in heads})
    for near, value in zip(again.forward_head(batch, "nli"), model.forward_head(batch, "nli")):
        np.testing.assert_allclose(near, value, atol=0.1)
    full = loaded(folders["qwen2"], inference=False, dtype="bfloat16")
    assert {parameter.dtype for parameter in full.module.parameters()} == {torch.float32}
    with pytest.raises(UserError, match=r"cannot be put into these modules(.|\n)*expected: all-linear, or some of .*q_proj"):
        loaded(folders["qwen2"], inference=False, extra={"lora": {"rank": 2, "alpha": 4, "targets": ("query",)}})


def test_an_adapter_of_another_model_is_refused(folders, tmp_path):
    loaded(folders["llama"], inference=False, extra=LORA).save(str(tmp_path))
    with pytest.raises(UserError, match="the adapter does not fit the model"):
        loaded(folders["bloom"], checkpoint=str(tmp_path))


def test_the_text_half_of_a_model_of_texts_and_images(tmp_path):
    from transformers import Gemma3Config, Gemma3ForConditionalGeneration

    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    vision = {"model_type": "siglip_vision_model", **small, "image_size": 28, "patch_size": 14}
    text = {**DECODERS["gemma3_text"], "vocab_size": 340, "model_type": "gemma3_text"}
    whole = Gemma3ForConditionalGeneration(Gemma3Config(text_config=text, vision_config=vision, mm_tokens_per_image=4)).eval()
    whole.save_pretrained(tmp_path)
    byte_bpe(prefix_space=False).save_pretrained(tmp_path)
    model = loaded(str(tmp_path), heads={})
    assert type(model.module.backbone).__name__ == "Gemma3ForCausalLM"
    ids = torch.tensor([[5, 6, 7, 8]])
    torch.testing.assert_close(model.module.backbone(input_ids=ids).logits, whole(input_ids=ids).logits)
    assert model.sizes()["layers"] == 3


def test_weights_without_an_output_matrix_have_heads_and_embeddings_only(folders, tmp_path):
    folder = Path(make_folder("qwen2", tmp_path / "body"))
    weights = {name: value for name, value in load_file(folder / "model.safetensors").items() if name != "lm_head.weight"}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    heads = {name: spec for name, spec in OWN.items() if spec.kind != "lm"}
    whole, body = loaded(folders["qwen2"], heads=heads), loaded(str(folder), heads=heads)
    same(outputs_of(body), outputs_of(whole))
    for ask in (body.loglikelihood, body.generate):
        with pytest.raises(UserError, match="no language model head"):
            ask([])
    with pytest.raises(UserError, match="no language model head"):
        loaded(str(folder))


def test_models_of_another_kind_are_refused(folders, tmp_path):
    bert = make_folder("bert", tmp_path / "bert")
    with pytest.raises(UserError, match=r"'bert' is no decoder(.|\n)*adapter=encoder"):
        loaded(bert, heads={})
    with pytest.raises(UserError, match="'mt5' is no decoder"):
        loaded(make_folder("mt5", tmp_path / "mt5"), heads={})
    with pytest.raises(UserError, match=r"'qwen2' is no encoder(.|\n)*adapter=decoder"):
        encoder.load(ModelSource(path=folders["qwen2"]), heads={}, device="cpu", seed=1, inference=True)
    with pytest.raises(UserError, match="masked word"):
        loaded(folders["qwen2"], heads={"mlm": HEADS["mlm"]})


def test_options_and_arguments_are_literals_that_name_what_there_is():
    from harness.registry import ADAPTERS, TASK_TYPES

    assert ADAPTERS.constant("decoder", "TASK_OPTIONS") == decoder.TASK_OPTIONS
    for name, options in decoder.TASK_OPTIONS.items():
        assert TASK_TYPES.load(name).Options.model_validate(options).model_dump(exclude_defaults=True) == options


@pytest.mark.real
def test_smollm2_embeds_and_trains_a_head_with_lora(real_models):
    model = loaded(
        str(real_models / "SmolLM2-135M-Instruct"),
        inference=False,
        heads={"nli": HeadSpec(kind="sequence", num_outputs=3)},
        extra={"lora": {"rank": 4, "alpha": 8, "targets": ("q_proj", "v_proj")}},
    )
    assert model.sizes() == {"parameters": 134515008, "non_embedding_parameters": 106203456, "layers": 30, "hidden_size": 576}
    assert model.module.first == 0  # <|endoftext|>: its tokenizer puts nothing before a text
    batch = batch_of(["A man sleeps.", "A man is asleep.", "Stocks fell sharply."], model.tokenizer)
    vectors = np.stack(model.embed(batch, Pooling(method="mean_no_first", layer=0.6)))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.05
    plain_norms = (
        model.module.body(input_ids=batch.input_ids[:1], output_hidden_states=True, use_cache=False)
        .hidden_states[18][0]
        .norm(dim=-1)
    )
    assert plain_norms[0] > 20 * plain_norms[1:].max()  # why a first token of its own is needed
    labels = torch.tensor([0, 1, 2])
    optimizer = torch.optim.AdamW([p for p in model.module.parameters() if p.requires_grad], lr=1e-3)
    losses = []
    for _ in range(2):
        model.module.eval()
        loss = torch.nn.functional.cross_entropy(model.module(batch, head="nli"), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[1] < losses[0]
