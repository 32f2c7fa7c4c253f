"""Small models whose weights are in few bits: written as the tools that make such files write them.

folder = compressed_folder("llama", tmp_path, bits=4)        # by compressed-tensors itself: pack-quantized int4
file = gguf_file_of(folder, tmp_path / "tiny.gguf")          # by gguf itself, a llama with a word-level vocabulary
adapter = peft_folder(folder, tmp_path / "lora", rank=4)     # by peft itself, with random weights in both matrices
"""

import json
from pathlib import Path
from typing import Any

import torch
from small_models import CONFIGS, DECODERS, tokenizer
from transformers import AutoModel, AutoModelForCausalLM

from models.encoder import init_scratch
from models.low_rank.lora import quiet_peft


def wide_folder(model_type: str, folder: Path, *, seed: int = 1, **more: Any) -> str:
    """A random model whose rows are whole blocks of 64 weights, as those of real models are."""
    config = {"model_type": model_type, **(CONFIGS | DECODERS)[model_type], "hidden_size": 64, "intermediate_size": 128, **more}
    init_scratch(config, tokenizer=tokenizer(), folder=folder, seed=seed)
    return str(folder)


def compressed_folder(source: str, folder: Path, *, bits: int) -> str:
    """A model folder quantised by compressed-tensors (integers of so many bits, groups of 16), and its tokenizer."""
    from compressed_tensors.compressors import ModelCompressor
    from compressed_tensors.quantization import (
        QuantizationArgs,
        QuantizationConfig,
        QuantizationScheme,
        apply_quantization_config,
    )

    architecture = json.loads((Path(source) / "config.json").read_text(encoding="utf-8"))["architectures"][0]
    kind: Any = AutoModelForCausalLM if architecture.endswith("CausalLM") else AutoModel
    model = kind.from_pretrained(source)
    weights = QuantizationArgs(num_bits=bits, type="int", symmetric=True, strategy="group", group_size=16)
    scheme = QuantizationScheme(targets=["Linear"], weights=weights)
    apply_quantization_config(model, QuantizationConfig(config_groups={"group_0": scheme}, ignore=["lm_head"]))
    for layer in model.modules():
        if hasattr(layer, "weight_scale"):
            blocks = layer.weight.data.unflatten(1, (-1, 16))
            layer.weight_scale.data = (blocks.abs().amax(-1) / (2 ** (bits - 1) - 1)).clamp(min=1e-6)
    compressor = ModelCompressor.from_pretrained_model(model, quantization_format="pack-quantized")
    compressor.compress_model(model)
    model.save_pretrained(folder)
    compressor.update_config(str(folder))
    tokenizer().save_pretrained(folder)
    return str(folder)


def gguf_file_of(source: str, file: Path, *, tokenizer: Any = None) -> Path:
    """A llama folder as a GGUF file whose matrices are Q8_0, with a byte-level tokenizer, or pieces in place of its own."""
    import gguf
    import numpy as np

    model = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32)
    config = model.config
    writer = gguf.GGUFWriter(str(file), "llama")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_vocab_size(config.vocab_size)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    if tokenizer is None:
        _add_pieces(writer, config.vocab_size)
    else:
        _add_byte_level(writer, tokenizer)
    for name, tensor in _named_as_in_gguf(model):
        array = tensor.float().numpy()
        if array.ndim == 2 and array.shape[1] % 32 == 0:
            writer.add_tensor(
                name, gguf.quants.quantize(array, gguf.GGMLQuantizationType.Q8_0), raw_dtype=gguf.GGMLQuantizationType.Q8_0
            )
        else:
            writer.add_tensor(name, array.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def _add_pieces(writer: Any, number: int) -> None:
    words = ["<unk>", "<s>", "</s>", *(f"▁{chr(97 + n // 26)}{chr(97 + n % 26)}" for n in range(number - 3))]
    writer.add_tokenizer_model("llama")
    writer.add_token_list(words)
    writer.add_token_scores([-float(n) for n in range(len(words))])
    writer.add_token_types([2, 3, 3, *[1] * (len(words) - 3)])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)


def _add_byte_level(writer: Any, tokenizer: Any) -> None:
    words = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    merges = json.loads(tokenizer.backend_tokenizer.to_str())["model"]["merges"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([word for word, _ in words])
    writer.add_token_types([3 if number in tokenizer.all_special_ids else 1 for _, number in words])
    writer.add_token_merges([one if isinstance(one, str) else " ".join(one) for one in merges])
    writer.add_bos_token_id(tokenizer.bos_token_id)
    writer.add_eos_token_id(tokenizer.eos_token_id)


def _named_as_in_gguf(model: Any) -> list[tuple[str, torch.Tensor]]:
    names = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
    parts = {
        "self_attn.q_proj": "attn_q",
        "self_attn.k_proj": "attn_k",
        "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output",
        "mlp.gate_proj": "ffn_gate",
        "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down",
        "input_layernorm": "attn_norm",
        "post_attention_layernorm": "ffn_norm",
    }
    heads = {"attn_q": model.config.num_attention_heads, "attn_k": model.config.num_key_value_heads}
    found = []
    for name, tensor in model.state_dict().items():
        module, _, what = name.rpartition(".")
        if module == "lm_head" and model.config.tie_word_embeddings:
            continue
        if module.startswith("model.layers."):
            _, _, number, inner = module.split(".", 3)
            own = parts[inner]
            if own in heads:  # llama.cpp turns neighbouring pairs, transformers the two halves of a head
                tensor = tensor.unflatten(0, (heads[own], 2, -1)).transpose(1, 2).flatten(0, 2)
            found.append((f"blk.{number}.{own}.{what}", tensor))
        else:
            found.append((f"{names[module]}.{what}", tensor))
    return found


def peft_folder(base: str, folder: Path, *, task_type: str | None = None, seed: int = 1, **config: Any) -> Any:
    """An adapter as peft saves it, on a folder, with weights that change something; returns peft's model."""
    from peft import IA3Config, LoHaConfig, LoraConfig, get_peft_model
    from transformers import AutoModelForSequenceClassification

    kinds: dict[str | None, Any] = {"SEQ_CLS": AutoModelForSequenceClassification, None: AutoModel}
    more = {"num_labels": 3} if task_type == "SEQ_CLS" else {}
    torch.manual_seed(seed)
    model = kinds.get(task_type, AutoModelForCausalLM).from_pretrained(base, **more)
    made: Any = {"LORA": LoraConfig, "LOHA": LoHaConfig, "IA3": IA3Config}[config.pop("kind", "LORA")]
    given = {"target_modules": "all-linear", **config}
    with quiet_peft():
        adapted = get_peft_model(model, made(task_type=task_type, **given))
    with torch.no_grad():
        for _, parameter in adapted.named_parameters():
            if parameter.requires_grad:
                parameter += 0.05 * torch.randn_like(parameter)
    adapted.eval().save_pretrained(folder)
    return adapted
