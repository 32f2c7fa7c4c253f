"""The encoder adapter with a small model of every architecture: heads, pooling, padding, gradients, saving."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from small_models import CONFIGS, HEADS, TEXTS, batch_of, features_of, make_folder

from harness.api.errors import UserError
from harness.api.model_source import ModelSource
from harness.api.protocols import HeadSpec, Pooling
from harness.api.registry import ADAPTERS
from models import encoder, finetuned
from models.encoder import Encoder, load, read_sizes
from models.loading.pretrained import count_sizes

ALL = pytest.mark.parametrize("kind", sorted(CONFIGS))


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    return {kind: make_folder(kind, root / kind) for kind in CONFIGS}


def loaded(path: str, *, inference: bool = True, heads=HEADS, seed: int = 1, keep=(), **source) -> Encoder:
    settings = {"dtype": "float32", **source}
    kept = {name: name for name in keep}
    return load(ModelSource(path=path, **settings), heads=heads, keep_heads=kept, device="cpu", seed=seed, inference=inference)


def outputs_of(model: Encoder, texts=TEXTS) -> dict[str, list[np.ndarray]]:
    batch = batch_of(texts)
    found = {name: model.forward_head(batch, name) for name in HEADS}
    for method in ("mean", "mean_no_first", "first", "last"):
        found |= {f"{method} {layer}": model.embed(batch, Pooling(method=method, layer=layer)) for layer in (0, 2, -1)}
    return found


@ALL
def test_shapes_types_and_lengths(folders, kind):
    model = loaded(folders[kind])
    found = outputs_of(model)
    lengths = [len(feature.input_ids) for feature in features_of(TEXTS)]
    assert len(set(lengths)) == 3
    assert [value.shape for value in found["nli"]] == [(3,)] * 3
    assert [value.shape for value in found["pick"]] == [()] * 3
    assert [value.shape for value in found["xtreme/tags.v1"]] == [(length, 5) for length in lengths]
    assert [value.shape for value in found["qa"]] == [(length, 2) for length in lengths]
    assert [value.shape for value in found["mlm"]] == [(2, len(model.tokenizer))] * 3
    assert [value.shape for value in found["mean -1"]] == [(32,)] * 3
    assert all(isinstance(value, np.ndarray) and value.dtype == np.float32 for values in found.values() for value in values)


@ALL
def test_padding_changes_nothing(folders, kind):
    model = loaded(folders[kind])
    together = outputs_of(model)
    for number, text in enumerate(TEXTS):
        for name, alone in outputs_of(model, [text]).items():
            np.testing.assert_allclose(together[name][number], alone[0], atol=1e-5, rtol=0, err_msg=f"{name}: {text}")


@ALL
def test_hidden_states_of_every_layer_are_those_of_the_model(folders, kind):
    model, batch = loaded(folders[kind]), batch_of()
    states = model.module.backbone(
        input_ids=batch.input_ids, attention_mask=batch.attention_mask, output_hidden_states=True
    ).hidden_states
    assert len(states) == 4
    for layer in (*range(4), -1, -4):
        atol = (
            1e-6 if layer in (3, -1) else 0
        )  # the last layer is computed for the tokens that are read, in products of fewer rows
        first = model.embed(batch, Pooling(method="first", layer=layer))
        last = model.embed(batch, Pooling(method="last", layer=layer))
        for number, feature in enumerate(batch.features):
            ends = states[layer][number, [0, len(feature.input_ids) - 1]].detach().numpy()
            np.testing.assert_allclose([first[number], last[number]], ends, atol=atol, rtol=0)
    assert len(model.module.backbone(input_ids=batch.input_ids, output_hidden_states=True).hidden_states) == 4  # layers are back


@ALL
def test_gradients_reach_the_embeddings_through_every_head(folders, kind):
    model, batch = loaded(folders[kind], inference=False), batch_of()
    embeddings = model.module.backbone.get_input_embeddings().weight
    asked = [{"head": name} for name in HEADS] + [{"pooling": Pooling(layer=layer)} for layer in (0, 2, -1)]
    for checkpointing in (False, True):
        if checkpointing:
            model.module.enable_gradient_checkpointing()
        for what in asked:
            model.module.zero_grad()
            model.module(batch, **what).float().square().sum().backward()
            used = embeddings.grad[batch.input_ids[batch.attention_mask.bool()].unique()]
            assert (used.abs().sum(1) > 0).all(), what
            if "head" in what:
                head = model.module.heads[what["head"].replace(".", "%2E")]
                assert all(parameter.grad is not None for parameter in head.parameters())


@ALL
def test_a_checkpoint_comes_back_byte_for_byte(folders, kind, tmp_path):
    model = loaded(folders[kind], inference=False, seed=7)
    with torch.no_grad():
        for parameter in model.module.parameters():
            parameter.add_(0.01)
    model.save(str(tmp_path / "one"))
    again = loaded(folders[kind], inference=False, checkpoint=str(tmp_path / "one"), keep=set(HEADS), seed=8)
    again.save(str(tmp_path / "two"))
    again.save(str(tmp_path / "two"))
    for file in ("heads.safetensors", "heads.json", "backbone/model.safetensors", "backbone/config.json", "tokenizer.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes(), file
    assert {name: parameter.tolist() for name, parameter in model.module.named_parameters()} == {
        name: parameter.tolist() for name, parameter in again.module.named_parameters()
    }
    alone = loaded(str(tmp_path / "one"), keep=set(HEADS))  # the folder given as --model
    trained = loaded(folders[kind], checkpoint=str(tmp_path / "one"), keep=set(HEADS))
    for name, values in outputs_of(trained).items():
        np.testing.assert_array_equal(
            np.concatenate([v.ravel() for v in values]), np.concatenate([v.ravel() for v in outputs_of(alone)[name]])
        )


@ALL
def test_sizes_without_weights_are_those_with_weights(folders, kind):
    model = loaded(folders[kind])
    sizes = count_sizes(model.module.backbone, model.module.body.config)
    assert sizes == read_sizes(folders[kind])
    stored = load_file(Path(folders[kind]) / "model.safetensors")
    assert sizes["parameters"] == sum(tensor.numel() for tensor in stored.values())
    assert 0 < sizes["non_embedding_parameters"] <= sizes["parameters"] - 32 * 16
    assert (sizes["layers"], sizes["hidden_size"]) == (3, 32)


def test_fresh_heads_follow_the_seed_and_their_name_alone(folders):
    def weights(**settings):
        model = loaded(folders["bert"], inference=False, **settings)
        return {name: parameter.detach().clone() for name, parameter in model.module.heads.named_parameters()}

    one, same, other = weights(seed=1), weights(seed=1), weights(seed=2)
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["nli.output.weight"], other["nli.output.weight"])
    alone = weights(seed=1, heads={"nli": HEADS["nli"]})
    assert torch.equal(alone["nli.dense.weight"], one["nli.dense.weight"])
    twin = weights(seed=1, heads={"twin": HEADS["nli"], "nli": HEADS["nli"]})
    assert not torch.equal(twin["twin.dense.weight"], twin["nli.dense.weight"])
    assert 0.015 < float(one["nli.dense.weight"].std()) < 0.025
    assert not one["nli.dense.bias"].any()


def test_loading_leaves_the_global_generator_alone(folders):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    loaded(folders["bert"], inference=False)
    assert torch.equal(torch.rand(3), expected)


def test_kept_and_fresh_heads_side_by_side(folders, tmp_path):
    first = loaded(folders["bert"], inference=False, seed=1)
    first.save(str(tmp_path / "trained"))
    second = loaded(folders["bert"], inference=False, checkpoint=str(tmp_path / "trained"), keep=["nli"], seed=2)
    assert torch.equal(first.module.heads["nli"].output.weight, second.module.heads["nli"].output.weight)
    assert not torch.equal(first.module.heads["qa"].output.weight, second.module.heads["qa"].output.weight)
    with pytest.raises(UserError, match=r"no head 'nil'(.|\n)*did you mean 'nli'"):
        loaded(folders["bert"], heads={"nil": HEADS["nli"]}, checkpoint=str(tmp_path / "trained"), keep=["nil"])
    two = {"nli": HeadSpec(kind="sequence", num_outputs=2)}
    with pytest.raises(UserError, match=r"num_outputs=2(.|\n)*num_outputs=3"):
        loaded(folders["bert"], heads=two, checkpoint=str(tmp_path / "trained"), keep=["nli"])
    with pytest.raises(UserError, match="a backbone alone"):
        loaded(folders["bert"], keep=["nli"])
    with pytest.raises(UserError, match="no checkpoint"):
        loaded(folders["bert"], checkpoint=folders["bert"])


def test_what_a_checkpoint_says_of_its_heads(folders, tmp_path):
    loaded(folders["mt5"], inference=False).save(str(tmp_path))
    saved = json.loads((tmp_path / "heads.json").read_text(encoding="utf-8"))
    assert saved["xtreme/tags.v1"] == {"kind": "token", "num_outputs": 5}
    assert saved["nli"] == {"kind": "sequence", "num_outputs": 3, "pooling": "first"}


def test_positions_are_counted_as_each_family_does(folders):
    limits = {kind: loaded(folders[kind], heads={}).max_positions for kind in CONFIGS}
    assert limits["xlm-roberta"] == limits["xlm-roberta-xl"] == 38  # 40 rows, the first token at padding_idx + 1 = 2
    assert {limits[kind] for kind in ("bert", "deberta-v2", "modernbert", "rembert", "eurobert")} == {40}
    assert limits["mt5"] == limits["umt5"] > 100_000
    model = loaded(folders["xlm-roberta"], heads={})
    longest = batch_of([" ".join(["cat"] * 36)])
    assert longest.input_ids.shape == (1, 38)
    assert np.isfinite(model.embed(longest, Pooling())[0]).all()


def test_the_encoder_half_alone_is_loaded(folders):
    for kind in ("mt5", "umt5"):
        names = [name for name, _ in loaded(folders[kind], heads={}).module.named_parameters()]
        assert [name for name in names if "encoder" in name]
        assert not [name for name in names if "decoder" in name]


@ALL
def test_bfloat16_weights_for_inference_and_float32_for_training(folders, kind):
    exact, fast = loaded(folders[kind]), loaded(folders[kind], dtype="bfloat16")
    assert {parameter.dtype for parameter in fast.module.backbone.parameters()} == {torch.bfloat16}
    assert {parameter.dtype for parameter in fast.module.heads.parameters()} == {torch.float32}
    found, expected = outputs_of(fast), outputs_of(exact)
    for name, values in expected.items():
        scale = max(0.01, *(float(np.abs(value).max()) for value in values))
        for near, value in zip(found[name], values):
            np.testing.assert_allclose(near, value, atol=0.05 * scale, rtol=0, err_msg=name)
    training = loaded(folders[kind], dtype="bfloat16", inference=False)
    assert {parameter.dtype for parameter in training.module.parameters()} == {torch.float32}


@ALL
def test_training_under_autocast(folders, kind):
    model, batch = loaded(folders[kind], inference=False), batch_of()
    for name in HEADS:
        model.module.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            outputs = model.module(batch, head=name)
        # Logits that are compared with each other stay exact; those over the vocabulary would take too much memory.
        assert outputs.dtype == (torch.bfloat16 if name == "mlm" else torch.float32)
        outputs.float().square().sum().backward()
        gradients = [parameter.grad for parameter in model.module.backbone.parameters() if parameter.grad is not None]
        assert gradients
        assert all(gradient.isfinite().all() for gradient in gradients)
        assert any(gradient.any() for gradient in gradients)


def test_auto_takes_bfloat16_where_the_hardware_has_it(folders):
    about = Path("/proc/cpuinfo")
    flags = about.read_text(encoding="utf-8").split() if about.exists() else []
    fast = "avx512_bf16" in flags or "amx_tile" in flags
    assert loaded(folders["bert"], dtype="auto").module.backbone.dtype == (torch.bfloat16 if fast else torch.float32)


def test_unknown_dtypes_are_refused(folders):
    with pytest.raises(UserError, match=r"unknown dtype 'int8'(.|\n)*expected: float32, bfloat16, float16, auto"):
        loaded(folders["bert"], dtype="int8")


def test_outputs_that_overflow_are_an_error(folders):
    model = loaded(folders["bert"], heads={"nli": HEADS["nli"]})
    model.module.heads["nli"].output.bias.fill_(float("inf"))
    with pytest.raises(UserError, match=r"head 'nli'(.|\n)*dtype=bfloat16"):
        model.forward_head(batch_of(), "nli")


def test_a_device_map_places_the_model(folders):
    placed, plain = loaded(folders["xlm-roberta"], device_map="auto"), loaded(folders["xlm-roberta"])
    np.testing.assert_array_equal(placed.embed(batch_of(), Pooling(layer=2)), plain.embed(batch_of(), Pooling(layer=2)))
    np.testing.assert_array_equal(placed.forward_head(batch_of(), "nli"), plain.forward_head(batch_of(), "nli"))


def test_prediction_during_training_drops_nothing_and_keeps_the_mode(folders):
    model, batch = loaded(folders["xlm-roberta"], inference=False), batch_of()
    assert model.module.training
    first, second = (model.forward_head(batch, "nli") for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert model.module.training
    assert not torch.equal(model.module(batch, head="nli"), model.module(batch, head="nli"))  # dropout is on in training


def test_layers_by_fraction_and_errors(folders):
    model, batch = loaded(folders["bert"], heads={}), batch_of()
    np.testing.assert_array_equal(model.embed(batch, Pooling(layer=0.583)), model.embed(batch, Pooling(layer=2)))
    np.testing.assert_array_equal(model.embed(batch, Pooling(layer=1.0)), model.embed(batch, Pooling(layer=-3)))
    for wrong in (4, -5, 1.5):
        with pytest.raises(UserError, match="there is no layer"):
            model.embed(batch, Pooling(layer=wrong))
    with pytest.raises(UserError, match="did you mean 'mean'"):
        model.embed(batch, Pooling(method="meen"))


def test_mean_pooling_leaves_out_what_it_says(folders):
    model, batch = loaded(folders["bert"], heads={}), batch_of()
    states = model.module.backbone(input_ids=batch.input_ids, attention_mask=batch.attention_mask).last_hidden_state
    for number, feature in enumerate(batch.features):
        tokens = states[number, : len(feature.input_ids)]
        np.testing.assert_allclose(model.embed(batch, Pooling())[number], tokens.mean(0), atol=1e-6)
        np.testing.assert_allclose(model.embed(batch, Pooling(method="mean_no_first"))[number], tokens[1:].mean(0), atol=1e-6)


def test_unknown_head_kinds_are_named(folders):
    with pytest.raises(UserError, match="did you mean 'sequence'"):
        loaded(folders["bert"], heads={"x": HeadSpec(kind="sequense", num_outputs=2)})


def test_capabilities_are_what_the_classes_do():
    assert {"encoder", "finetuned"} <= set(ADAPTERS.names())
    assert not [name for name in ADAPTERS.names() if name.startswith("_") or name == "heads"]
    for name, module in (("encoder", encoder), ("finetuned", finetuned)):
        assert ADAPTERS.constant(name, "CAPABILITIES") == module.CAPABILITIES
    assert not hasattr(finetuned.Finetuned, "embed")
