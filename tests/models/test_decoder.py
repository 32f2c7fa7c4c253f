"""The decoder adapter with a small model of every architecture: heads, pooling, padding, attention, saving."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from small_decoders import LORA, OWN, batch_of, everything, loaded, outputs_of, same
from small_models import DECODERS, HEADS, TEXTS, features_of, make_folder
from small_tokenizers import byte_bpe
from transformers import AutoModelForCausalLM

from harness.api.errors import UserError
from harness.api.model_source import ModelSource
from harness.api.protocols import Feature, HeadSpec, Pooling
from harness.prediction.batching import collate
from models import decoder, encoder

ALL = pytest.mark.parametrize("kind", sorted(DECODERS))


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    return {kind: make_folder(kind, root / kind) for kind in DECODERS}


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A model like SmolLM2 and Qwen: its tokenizer puts nothing around a text and pads with the token that ends it."""
    return make_folder("llama", tmp_path_factory.mktemp("plain"), own=byte_bpe(prefix_space=False))


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
        atol = 1e-6 if layer == 3 else 0  # the last layer is computed for the tokens that are read, in products of fewer rows
        last = model.embed(batch, Pooling(method="last", layer=layer))
        for number, feature in enumerate(batch.features):
            end = states[layer][number, len(feature.input_ids) - 1].detach().numpy()
            np.testing.assert_allclose(last[number], end, atol=atol, rtol=0)


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
    assert model.module.backbone.config.num_hidden_layers == 3


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
    from harness.api.registry import ADAPTERS, TASK_TYPES

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
    assert decoder.read_sizes(str(real_models / "SmolLM2-135M-Instruct")) == {
        "parameters": 134515008,
        "non_embedding_parameters": 106203456,
        "layers": 30,
        "hidden_size": 576,
    }
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
