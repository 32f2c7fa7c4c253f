"""What a model folder says of itself before it is loaded, and what of --model_args goes to its adapter.

    adapter_for("models/SmolLM2-135M-Instruct", revision=None)         # 'decoder', by its config.json
    adapter_arguments({"lora_rank": 16}, adapter="decoder")            # {'lora': {'rank': 16, 'alpha': 32}}
    held = checkpoint_parts("runs/train/.../checkpoint")               # where its backbone lies

Imports neither torch nor transformers.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from harness.api.errors import UserError, raise_all
from harness.api.registry import ADAPTERS
from harness.planning.backbone.sizes import read_json_file

LISTS = ("labels", "ignore_labels", "lora_targets")
"Values that are lists, with | between their items."
LORA = ("lora_rank", "lora_alpha", "lora_dropout", "lora_targets")
ADAPTER_ARGS = {
    "bidirectional": "true lets the tokens of a causal model see those after them, for its heads and embeddings",
    "lora_rank": "trains low-rank adapters (LoRA) of this rank in place of a causal model's weights",
    "lora_alpha": "their updates are multiplied by alpha / rank; twice the rank if not given",
    "lora_dropout": "dropout before them; 0 if not given",
    "lora_targets": "ends of the names of the modules that get one, separated by |; all linear layers if not given",
}
CAUSAL = ("ForCausalLM", "LMHeadModel")
"Ends of the names of causal language models in `architectures`."


class CheckpointParts(NamedTuple):
    """A checkpoint of this project, or a backbone alone."""

    backbone: str
    "Folder or hub id."
    checkpoint: str | None
    revision: str | None = None
    "Commit on the hub, of a base that is not here."
    is_base: bool = False
    "The backbone lies elsewhere: the checkpoint holds adapters trained on it."


def config_of(path: str, *, revision: str | None) -> dict[str, Any] | None:
    """config.json of a folder, or of a download in the hub's cache; None where it is not here."""
    folder = Path(path).expanduser()
    if not folder.is_dir():
        commit = revision or commit_in_cache(path)
        if commit is None:
            return None
        folder = _cache(path) / "snapshots" / commit
    file = folder / "config.json"
    return read_json_file(file) if file.is_file() else None


def needed_config(path: str, *, revision: str | None) -> dict[str, Any]:
    """config.json of a folder, of the hub's cache, or of the hub; {} for a folder that has none, UserError for what is not here.

    The one file is downloaded: what kind of model it is decides what can be asked of it, and is not guessed.
    """
    found = config_of(path, revision=revision)
    if found is not None or Path(path).expanduser().is_dir():
        return found or {}
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return read_json_file(Path(hf_hub_download(path, "config.json", revision=revision)))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise UserError(
            f"nothing is known of the model '{path}'" + (f" at revision '{revision}'" if revision else ""),
            where="--model",
            expected="its config.json, in the hub's cache or on the hub",
            found=f"{type(error).__name__}: {str(error).splitlines()[0]}",
            todo="check the name; without network, run `fetch` where there is one and copy its cache, or give a folder",
        ) from error


def commit_in_cache(hub_id: str) -> str | None:
    """The commit of the newest download of a hub repository, if there is one."""
    reference = _cache(hub_id) / "refs" / "main"
    return reference.read_text(encoding="utf-8").strip() if reference.is_file() else None


def _cache(hub_id: str) -> Path:
    from huggingface_hub.constants import HF_HUB_CACHE

    return Path(HF_HUB_CACHE) / f"models--{hub_id.replace('/', '--')}"


def adapter_for(path: str, *, revision: str | None) -> str:
    """The adapter for a model without a preset, by its configuration: `decoder` for causal language models, else `encoder`."""
    config = needed_config(path, revision=revision)
    if config.get("is_encoder_decoder"):
        return "encoder"
    causal = any(str(name).endswith(CAUSAL) for name in config.get("architectures") or ())
    return "decoder" if causal or config.get("model_type") in ADAPTERS.constant("decoder", "MODEL_TYPES") else "encoder"


def adapter_arguments(values: Mapping[str, Any], *, adapter: str) -> dict[str, Any]:
    """`ModelSource.extra`: of the model arguments those that only some adapters know; raises every mistake at once."""
    known = ADAPTERS.constant(adapter, "ARGUMENTS")
    errors = [
        UserError(f"adapter '{adapter}' does not know '{key}'", where="--model_args", expected="a causal language model")
        for key in values
        if key in ADAPTER_ARGS and key not in known
    ]
    extra: dict[str, Any] = {key: _items(values[key]) for key in ("labels", "ignore_labels") if key in values}
    extra |= {key: values[key] for key in ("model_type", "tokenizer_class") if key in values}
    if values.get("bidirectional"):
        extra["bidirectional"] = True
    lora = {key: values[key] for key in LORA if key in values}
    errors += _mistakes(lora)
    raise_all(errors)
    if lora.get("lora_rank"):
        extra["lora"] = {"rank": lora["lora_rank"], "alpha": lora.get("lora_alpha", 2 * lora["lora_rank"])}
        targets = _items(lora.get("lora_targets", "all-linear"))
        extra["lora"] |= {"dropout": lora["lora_dropout"]} if lora.get("lora_dropout") else {}
        extra["lora"] |= {"targets": sorted(targets)} if targets != ["all-linear"] else {}
    return extra


def _items(value: Any) -> list[str]:
    return str(value).split("|")


def _mistakes(lora: Mapping[str, Any]) -> list[UserError]:
    """What is wrong with the settings of LoRA; a rank of 0 turns it off."""
    errors = []
    rank = lora.get("lora_rank", 0)
    if not isinstance(rank, int) or isinstance(rank, bool) or rank < 0:
        errors.append(UserError("not a rank", where="--model_args lora_rank", expected="a whole number", found=str(rank)))
    elif not rank and set(lora) - {"lora_rank"}:
        name = next(name for name in lora if name != "lora_rank")
        errors.append(UserError(f"'{name}' says nothing without lora_rank", where="--model_args", todo="add lora_rank=16"))
    alpha, dropout = lora.get("lora_alpha", 1), lora.get("lora_dropout", 0)
    if not isinstance(alpha, int | float) or not alpha > 0:
        errors.append(UserError("not a scale", where="--model_args lora_alpha", expected="a number above 0", found=str(alpha)))
    if not isinstance(dropout, int | float) or not 0 <= dropout < 1:
        expected = "a number from 0 to below 1"
        errors.append(UserError("not a dropout", where="--model_args lora_dropout", expected=expected, found=str(dropout)))
    return errors


def checkpoint_parts(path: str) -> CheckpointParts:
    """Backbone and checkpoint of what --model names; UserError for a folder that is neither."""
    folder = Path(path).expanduser()
    if not folder.is_dir():
        return CheckpointParts(path, None)
    if (folder / "backbone" / "config.json").is_file():
        return CheckpointParts(str(folder / "backbone"), str(folder))
    if (folder / "base.json").is_file():
        base = read_json_file(folder / "base.json")
        if base["path"].startswith("/") and not Path(base["path"]).is_dir():
            raise UserError(
                "the model that this checkpoint's adapters were trained on is not here",
                where=str(folder / "base.json"),
                found=base["path"],
                todo="write its folder or hub id there",
            )
        return CheckpointParts(base["path"], str(folder), revision=base["revision"], is_base=True)
    if not (folder / "config.json").is_file():
        found = ", ".join(sorted(entry.name for entry in folder.iterdir())[:8]) or "an empty folder"
        raise UserError(f"'{path}' is not a model folder", where="--model", expected="a folder with config.json", found=found)
    return CheckpointParts(path, None)
