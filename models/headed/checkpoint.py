"""Checkpoints of this project: where one lies, and the heads that are taken from it or made fresh.

    folder = checkpoint_folder(source)                       # None where the source names a backbone alone
    modules = load_heads(heads, keep_heads, checkpoint=folder, shape=shape, seed=1)

A checkpoint is a folder with tokenizer files, heads.safetensors, heads.json, and the weights: `backbone/` (ordinary files), or
for adapters trained on a frozen backbone `adapters/` and base.json, which says where that backbone lies (see low_rank/files.py).
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import PreTrainedModel

from harness.api.errors import UserError, did_you_mean
from harness.api.model_files import check_weights, read_model_json
from harness.api.model_source import ModelSource
from harness.api.protocols import HeadSpec
from models.headed.heads import HeadShape, build_head
from models.headed.network import head_key
from models.loading.pretrained import input_embeddings

BASE_FILE = "base.json"


def has_backbone(folder: Path) -> bool:
    """Whether a folder holds a backbone of its own."""
    return (folder / "backbone" / "config.json").is_file()


def checkpoint_folder(source: ModelSource, *, with_base: bool = False) -> Path | None:
    """Folder of one of our checkpoints, if the source names one; UserError if `checkpoint` is none.

    With `with_base` a folder of adapters that names its base is one, too.
    """
    folder = Path(source.checkpoint or source.path).expanduser()
    if has_backbone(folder) or (with_base and (folder / BASE_FILE).is_file()):
        return folder
    if source.checkpoint is None:
        return None
    raise UserError("this is no checkpoint", where=str(folder), expected="a folder with backbone/config.json")


def head_shape(backbone: PreTrainedModel, *, pooling: str) -> HeadShape:
    """What the heads need of the backbone; other families spell the same settings differently."""
    config, embeddings = backbone.config, input_embeddings(backbone)
    dropouts = (
        getattr(config, name, None)
        for name in ("classifier_dropout_prob", "hidden_dropout_prob", "dropout_rate", "classifier_dropout")
    )
    epsilons = (getattr(config, name, None) for name in ("layer_norm_eps", "norm_eps", "layer_norm_epsilon", "rms_norm_eps"))
    return HeadShape(
        hidden_size=config.hidden_size,
        dropout=next((value for value in dropouts if value is not None), 0.1),
        initializer_range=getattr(config, "initializer_range", None) or 0.02,
        embedding_size=embeddings.embedding_dim,
        vocab_size=embeddings.num_embeddings,
        norm_eps=next((value for value in epsilons if value is not None), 1e-5),
        pooling=pooling,
    )


def load_heads(
    heads: Mapping[str, HeadSpec], keep_heads: Mapping[str, str], *, checkpoint: Path | None, shape: HeadShape, seed: int
) -> dict[str, nn.Module]:
    """Heads by name: those in `keep_heads` (name -> name in the checkpoint) as they are there, the others fresh from `seed`.

    UserError if there is no checkpoint, or it has no head of that name and kind.
    """
    modules = {
        name: build_head(spec, shape, seed=seed, name=name) for name, spec in sorted(heads.items()) if name not in keep_heads
    }
    return modules | _kept(checkpoint, {name: (saved, heads[name]) for name, saved in sorted(keep_heads.items())}, shape)


def _kept(checkpoint: Path | None, heads: Mapping[str, tuple[str, HeadSpec]], shape: HeadShape) -> dict[str, nn.Module]:
    """Heads by name with the weights of a checkpoint's head."""
    if not heads:
        return {}
    if checkpoint is None:
        raise UserError(
            f"there is no trained head '{next(iter(heads))}'", expected="one of our checkpoints", found="a backbone alone"
        )
    saved = read_model_json(checkpoint / "heads.json")
    check_weights([checkpoint / "heads.safetensors"])
    weights = load_file(checkpoint / "heads.safetensors")
    kept = {}
    for name, (old, spec) in heads.items():
        if old not in saved:
            raise UserError(f"the checkpoint has no head '{old}'", where=str(checkpoint), todo=did_you_mean(old, saved))
        described = dict(saved[old]) if isinstance(saved[old], dict) else {}
        own = dataclasses.replace(shape, pooling=described.pop("pooling", shape.pooling))
        if described != dataclasses.asdict(spec):
            found = ", ".join(f"{key}={value!r}" for key, value in described.items())
            raise UserError(f"head '{old}' does not fit", where=str(checkpoint), expected=str(spec), found=found)
        kept[name] = build_head(spec, own, seed=0, name=name)
        try:
            kept[name].load_state_dict(_with_prefix(weights, f"{head_key(old)}."))
        except RuntimeError as error:
            message, found = f"the weights of head '{old}' do not fit", str(error).splitlines()[-1].strip()
            raise UserError(message, where=str(checkpoint / "heads.safetensors"), found=found) from error
    return kept


def _with_prefix(weights: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Tensors whose name has the prefix, named without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in weights.items() if name.startswith(prefix)}
