"""Parameters, layers and width of a local backbone: from config.json and the headers of the files that its weights come from.

read_sizes(Path("models/xlm-roberta-base"))["parameters"]        # 277452288
read_json_file(folder / "config.json")                           # UserError for what is no JSON object

The files are those that transformers reads: model.safetensors, else what the index names.  Copies of the weights beside them (a
`consolidated.safetensors`) are not counted, nor what a backbone is used without: heads, poolers, mT5's decoder.  Imports neither
torch nor transformers.
"""

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from harness.api.errors import UserError

WHOLE, INDEX, SHARDS = "model.safetensors", "model.safetensors.index.json", "model-*-of-*.safetensors"
LONGEST_HEADER = 100_000_000
"Bytes: the limit of the safetensors library."
EMBEDDING = re.compile(r"((?<!rel_)embeddings|embed_tokens|embed_positions|embed_in|embed_out|shared|wte|wpe)\.weight$")
"Names of embedding tables in weight files."
NOT_COUNTED = (
    *("lm_head", "classifier", "qa_outputs", "cls.predictions", "cls.seq_relationship", "mask_predictions", "lm_predictions"),
    *("pooler", "vision_tower", "multi_modal_projector", "inv_freq", "masked_bias"),
)
"Parts of names of tensors that are no part of a backbone, or no parameters."
MLM_HEAD = re.compile(r"(head\.(dense|norm)|decoder)\.(weight|bias)$")
"Names of ModernBERT's head, from their beginning."
DECODER = re.compile(r"(model\.)?(decoder\.|encoder\.embed_tokens\.)")
"Of a model with encoder and decoder: what the encoder is used without, and its name for the table that both share."
NO_PARAMETERS = ("I64", "BOOL")
"Types of numbered positions and masks."


class StoredTensor(NamedTuple):
    """A tensor as the header of its file describes it."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def is_parameter(self) -> bool:
        """Whether it is trained: not positions, not GPT-2's causal mask."""
        return self.dtype not in NO_PARAMETERS and not (self.name.endswith("attn.bias") and len(self.shape) == 4)


def read_sizes(folder: Path) -> dict[str, Any]:
    """Sizes of the backbone in a folder; without `parameters` where its weights are no safetensors files.

    Raises UserError for files that are not what their names say.
    """
    whole = read_json_file(folder / "config.json")
    config = whole.get("text_config") or whole  # Gemma 3 from 4B on
    # A causal language model's output matrix counts where it is not the table of words as well; mT5's goes with its decoder, and
    # EuroBERT's with its head for masked words.
    masked = any(str(name).endswith("ForMaskedLM") for name in whole.get("architectures") or ())
    alone = config.get("tie_word_embeddings") is False and not whole.get("is_encoder_decoder") and not masked
    outputs = {"lm_head.weight"} if alone else set()
    stored = {tensor.name: tensor for tensor in _used(folder) if tensor.is_parameter}
    total = embedding = 0
    for name, tensor in stored.items():
        if name not in outputs and (any(part in name for part in NOT_COUNTED) or MLM_HEAD.match(name)):
            continue
        if whole.get("is_encoder_decoder") and DECODER.match(name) and _shares_words(name, stored):
            continue
        count = math.prod(tensor.shape)
        total += count
        embedding += count if name in outputs or EMBEDDING.search(name) else 0
    sizes = {
        "layers": config.get("num_hidden_layers") or config.get("num_layers") or config.get("n_layer"),
        "hidden_size": config.get("hidden_size") or config.get("d_model") or config.get("n_embed"),
    }
    return {**sizes, **({"parameters": total, "non_embedding_parameters": total - embedding} if total else {})}


def _shares_words(name: str, stored: dict[str, StoredTensor]) -> bool:
    """Whether a tensor is the decoder's, or the encoder's copy of a table that stands there as `shared` as well."""
    return "encoder.embed_tokens" not in name or any(other.endswith("shared.weight") for other in stored)


def read_json_file(file: Path) -> dict[str, Any]:
    """The object in a JSON file of a model folder; UserError if there is none."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError("cannot read this file of a model", where=str(file), expected="JSON", found=str(error)) from error
    if not isinstance(content, dict):
        raise UserError("cannot read this file of a model", where=str(file), expected="an object", found=type(content).__name__)
    return content


def _used(folder: Path) -> Iterator[StoredTensor]:
    """The tensors of the files that the weights of a folder are read from."""
    whole, index = folder / WHOLE, folder / INDEX
    if whole.is_file():
        yield from read_header(whole)
    elif index.is_file():
        weight_map = read_json_file(index).get("weight_map")
        if not isinstance(weight_map, dict) or not all(isinstance(file, str) for file in weight_map.values()):
            raise UserError("an index of weights without a `weight_map`", where=str(index), expected="tensor name -> file name")
        for file in sorted(set(weight_map.values())):
            yield from (tensor for tensor in read_header(folder / file) if weight_map.get(tensor.name) == file)
    else:
        for shard in sorted(folder.glob(SHARDS)):
            yield from read_header(shard)


def read_header(file: Path) -> list[StoredTensor]:
    """What the header of a safetensors file says; UserError if it is none, or if the file is not as long as it says."""
    try:
        size = file.stat().st_size
        with file.open("rb") as handle:
            length = int.from_bytes(handle.read(8), "little")
            if not 2 <= length <= min(size - 8, LONGEST_HEADER):
                raise _broken(file, f"a header of {length:,} bytes in a file of {size:,}")
            header = json.loads(handle.read(length))
            tensors = [
                StoredTensor(name, str(entry["dtype"]), tuple(map(int, entry["shape"])))
                for name, entry in header.items()
                if name != "__metadata__"
            ]
            end = max((int(entry["data_offsets"][1]) for name, entry in header.items() if name != "__metadata__"), default=0)
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        raise _broken(file, f"{type(error).__name__}: {error}"[:120]) from error
    if size != 8 + length + end:
        raise _broken(file, f"{size:,} bytes where its header tells of {8 + length + end:,}")
    return tensors


def _broken(file: Path, found: str) -> UserError:
    return UserError(
        "cannot read these weights",
        where=str(file),
        expected="a whole safetensors file",
        found=found,
        todo="fetch the model again: the download may have stopped half-way, or left a pointer in the file's place",
    )
