"""What a training pass keeps is what `torch.autograd` saves: counted on small models of every family, byte by byte."""

from dataclasses import replace

import pytest
import torch
from small_models import CONFIGS, DECODERS, features_of, tokenizer

from harness.api.model_source import ModelSource
from harness.api.protocols import HeadSpec
from harness.planning.costs.activations import HowTrained, activation_bytes, copies_of_weights, layer_bytes
from harness.planning.costs.architectures import shape_of
from harness.prediction.batching import collate
from models import decoder, encoder
from models.encoder import init_scratch

LENGTH, SEQUENCES = 16, 3
"Padded tokens of a sequence, sequences: one of them is shorter, so that there is a mask."
TOKENS = LENGTH * SEQUENCES
WIDER = {
    **dict.fromkeys(("xlm-roberta", "xlm-roberta-xl", "bert", "deberta-v2", "modernbert", "rembert", "eurobert"), "encoder"),
    **dict.fromkeys(("mt5", "umt5"), "t5"),
    **dict.fromkeys(("qwen2", "qwen3", "llama", "gemma3_text"), "llama"),
    "xglm": "xglm",
    "bloom": "bloom",
}
WIDTHS = {
    "encoder": {"hidden_size": 64, "num_attention_heads": 4, "intermediate_size": 160},
    "t5": {"d_model": 64, "num_heads": 4, "d_ff": 160, "d_kv": 16},
    "llama": {"hidden_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 160, "head_dim": 16},
    "xglm": {"d_model": 64, "attention_heads": 4, "ffn_dim": 160},
    "bloom": {"hidden_size": 64, "n_head": 4},
}
LAYERS = {"mt5": "num_layers", "umt5": "num_layers", "xglm": "num_layers", "bloom": "n_layer"}
WITHIN = 0.015
EAGER = 0.05
"Of models that have the plain computation of attention alone: a mask or a copy of it may be kept in fp32."
"Of a few small tensors (constants of norms, numbers of positions) nothing is said."


def loaded(kind, folder, *, layers, **source):
    config = {"model_type": kind, **(CONFIGS | DECODERS)[kind], **WIDTHS[WIDER[kind]]}
    config[LAYERS.get(kind, "num_hidden_layers")] = layers
    if kind == "gemma3_text":
        config["layer_types"] = ["sliding_attention"] * layers
    init_scratch(config, tokenizer=tokenizer(), folder=folder, seed=1)
    module = encoder if kind in CONFIGS else decoder
    heads = {"h": HeadSpec(kind="sequence", num_outputs=2)}
    adapter = module.load(ModelSource(path=str(folder), **source), heads=heads, device="cpu", seed=1, inference=False)
    shape = shape_of(adapter.module.backbone.config.to_dict(), facts={}, causal=kind in DECODERS)
    assert shape is not None
    return adapter, shape


def kept(adapter, precision, *, packed=False):
    """Bytes of the tensors that autograd keeps of a forward pass, without those of parameters; and of copies of weights.

    Not `packed`: the batch does not say of which features it is made, so that it is computed with its padding.
    """
    module = adapter.module.train()
    own = {tensor.untyped_storage().data_ptr() for tensor in (*module.parameters(), *module.buffers())}
    shapes = {tuple(part.weight.shape) for part in module.modules() if isinstance(part, torch.nn.Linear)}
    found: dict[int, torch.Tensor] = {}

    def pack(tensor):
        key = tensor.untyped_storage().data_ptr()
        if key not in own:
            found.setdefault(key, tensor)
        return tensor

    texts = [" ".join(["cat"] * (LENGTH - 2 - (number == 2) * 3)) for number in range(SEQUENCES)]
    batch = collate(features_of(texts), pad_id=adapter.tokenizer.pad_token_id)
    if not packed:
        batch = replace(batch, features=())
    mixed = precision != "float32"
    with (
        torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor),
        torch.autocast("cpu", dtype=torch.bfloat16, enabled=mixed),
    ):
        outputs = module(batch, head="h")
    outputs.sum()
    sizes = [(tensor.untyped_storage().nbytes(), tuple(tensor.shape)) for tensor in found.values()]
    copies = sum(size for size, shape in sizes if mixed and (shape in shapes or shape[::-1] in shapes))
    return sum(size for size, _ in sizes) - copies, copies


def of_a_layer(kind, folder, precision, *, checkpointing=False, packed=False, **source):
    """Bytes that one more layer keeps, copies of its weights, and the shape."""
    found = []
    for layers in (3, 4):
        adapter, shape = loaded(kind, folder / f"{layers}", layers=layers, **source)
        if checkpointing:
            adapter.module.enable_gradient_checkpointing()
        found.append(kept(adapter, precision, packed=packed))
    shape = shape if packed else replace(shape, packs=False)
    (fewer, few_copies), (more, more_copies) = found
    return more - fewer, more_copies - few_copies, shape


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("kind", WIDER)
def test_what_a_layer_keeps_is_known_beforehand(kind, precision, tmp_path):
    found, copies, shape = of_a_layer(kind, tmp_path, precision)
    how = HowTrained(precision=precision)
    within = EAGER if kind == "deberta-v2" else WITHIN
    assert layer_bytes(shape, how, tokens=TOKENS, length=LENGTH) == pytest.approx(found, rel=within)
    assert copies_of_weights(shape, how) == pytest.approx(copies * shape.layers, rel=0.01)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("kind", ["xlm-roberta", "xlm-roberta-xl", "modernbert", "eurobert", "llama", "qwen3", "gemma3_text"])
def test_what_a_layer_keeps_of_a_packed_pass(kind, precision, tmp_path):
    found, _, shape = of_a_layer(kind, tmp_path, precision, packed=True)
    assert shape.packs
    how = HowTrained(precision=precision)
    assert layer_bytes(shape, how, tokens=TOKENS - 3, length=LENGTH) == pytest.approx(found, rel=0.12)
    assert found < of_a_layer(kind, tmp_path / "padded", precision)[0] * 1.02


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["bert", "llama", "eurobert", "mt5"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_eager_attention_keeps_its_tables_of_scores(kind, precision, tmp_path):
    found, _, shape = of_a_layer(kind, tmp_path, precision, attn_implementation="eager")
    how = HowTrained(precision=precision, attention="eager")
    assert layer_bytes(shape, how, tokens=TOKENS, length=LENGTH) == pytest.approx(found, rel=0.05)  # its mask may be fp32


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("kind", ["xlm-roberta", "modernbert", "qwen3", "bloom"])
def test_with_checkpointing_a_layer_keeps_what_goes_into_it(kind, precision, tmp_path):
    found, _, shape = of_a_layer(kind, tmp_path, precision, checkpointing=True)
    how = HowTrained(precision=precision, checkpointing=True)
    whole = activation_bytes(shape, how, tokens=TOKENS, length=LENGTH)
    fewer = activation_bytes(replace(shape, layers=shape.layers - 1), how, tokens=TOKENS, length=LENGTH)
    assert found == whole - fewer == 4 * shape.hidden * TOKENS


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["xlm-roberta", "llama"])
def test_what_lies_around_the_layers_is_within_what_is_reckoned_for_it(kind, tmp_path):
    adapter, shape = loaded(kind, tmp_path / "model", layers=2)
    shape = replace(shape, packs=False)
    found, _ = kept(adapter, "float32")
    how = HowTrained()
    around = found - 2 * layer_bytes(shape, how, tokens=TOKENS, length=LENGTH)
    reckoned = activation_bytes(shape, how, tokens=TOKENS, length=LENGTH) - 2 * layer_bytes(
        shape, how, tokens=TOKENS, length=LENGTH
    )
    assert 0 < around <= reckoned


def test_on_a_gpu_there_is_no_table_of_scores_and_a_mask_of_dropout_is_a_byte():
    config = {"model_type": "xlm-roberta", "vocab_size": 1000, "hidden_size": 768, "num_attention_heads": 12}
    config |= {"num_hidden_layers": 12, "intermediate_size": 3072, "type_vocab_size": 1, "max_position_embeddings": 514}
    shape = shape_of(config, facts={}, causal=False)
    assert shape is not None
    here, there = (
        activation_bytes(shape, HowTrained(precision="bfloat16", on_gpu=on_gpu), tokens=4096, length=512)
        for on_gpu in (False, True)
    )
    scores = 12 * 3 * 12 * 512 * 4 * 4096
    assert here - there > 0.9 * scores
