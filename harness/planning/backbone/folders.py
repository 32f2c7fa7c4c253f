"""What a model folder, or a download in the hub's cache, says of itself before anything is loaded.

    adapter_for("models/SmolLM2-135M-Instruct", revision=None)         # 'decoder', by its config.json
    held = checkpoint_parts("runs/train/.../checkpoint")               # where its backbone lies
    folder_name(".")                                                   # that of the working folder

Imports neither torch nor transformers.
"""

from pathlib import Path
from typing import Any, NamedTuple

from harness.api.errors import UserError
from harness.api.model_files import contents, local_folder, read_base, read_model_json
from harness.api.quantization import BITS_HERE, gguf_file
from harness.api.registry import ADAPTERS
from harness.planning.backbone.folder_checks import check_config
from harness.planning.backbone.gguf_files import gguf_config
from harness.planning.backbone.hub_ids import is_hub_id
from harness.planning.backbone.peft_folders import PeftFolder, is_peft_folder, read_peft_folder

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
    quantization: str | None = None
    "How the backbone was quantised when the checkpoint's adapters were trained beside it."
    peft: PeftFolder | None = None
    "An adapter trained elsewhere, which is put on the backbone."


def folder_name(text: str) -> str:
    """The name of a folder, however it is said: `.`, `..`, with a slash behind it; of a GGUF file its name."""
    file = gguf_file(text)
    if file:
        return file.stem
    folder = local_folder(text)
    return folder.resolve().name or "root" if folder else text


def config_of(path: str, *, revision: str | None) -> dict[str, Any] | None:
    """config.json of a folder, or of a download in the hub's cache; None where it is not here."""
    file = gguf_file(path)
    if file:
        return gguf_config(file)
    folder = local_folder(path)
    if folder is None:
        commit = revision or commit_in_cache(path)
        if commit is None or not is_hub_id(path) or Path(commit).name != commit:
            return None
        folder = _cache(path) / "snapshots" / commit
    file = folder / "config.json"
    try:
        is_here = file.is_file()
    except OSError:  # an over-long revision
        is_here = False
    return check_config(file) if is_here else None


def needed_config(path: str, *, revision: str | None) -> dict[str, Any]:
    """config.json of a folder, of the hub's cache, or of the hub; {} for a folder that has none, UserError for what is not here.

    The one file is downloaded: what kind of model it is decides what can be asked of it, and is not guessed.
    """
    found = config_of(path, revision=revision)
    if found is not None or local_folder(path):
        return found or {}
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        file = hf_hub_download(path, "config.json", revision=revision)
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError, ValueError) as error:
        raise UserError(
            f"nothing is known of the model '{path}'" + (f" at revision '{revision}'" if revision else ""),
            where="--model",
            expected="its config.json, in the hub's cache or on the hub",
            found=f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}",
            todo="check the name; without network, run `fetch` where there is one and copy its cache, or give a folder",
        ) from error
    return check_config(Path(file))


def commit_in_cache(hub_id: str) -> str | None:
    """The commit of the newest download of a hub repository, if there is one."""
    reference = _cache(hub_id) / "refs" / "main"
    try:
        return reference.read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return None


def _cache(hub_id: str) -> Path:
    from huggingface_hub.constants import HF_HUB_CACHE

    return Path(HF_HUB_CACHE) / f"models--{hub_id.replace('/', '--')}"


def adapter_for(path: str, *, revision: str | None) -> str:
    """The adapter for a model without a preset, by its configuration: `decoder` for causal language models, else `encoder`."""
    config = needed_config(path, revision=revision)
    if config.get("is_encoder_decoder"):
        return "encoder"
    causal = any(name.endswith(CAUSAL) for name in config.get("architectures") or ())
    return "decoder" if causal or config.get("model_type") in ADAPTERS.constant("decoder", "MODEL_TYPES") else "encoder"


def checkpoint_parts(path: str, *, where: str = "--model", base: str | None = None) -> CheckpointParts:
    """Backbone and checkpoint of what --model names; UserError for a folder that is neither.

    `base` is where the model lies that an adapter of peft was trained on, if its files name another place.
    """
    file = gguf_file(path)
    folder = local_folder(path)
    if file or folder is None:
        return CheckpointParts(str(file or path), None)
    if (folder / "backbone" / "config.json").is_file():
        return CheckpointParts(str(folder / "backbone"), str(folder), quantization=_quantization(folder))
    if (folder / "base.json").is_file():
        return _on_a_base(folder)
    if is_peft_folder(folder):
        peft = read_peft_folder(folder, base=base)
        return CheckpointParts(peft.base, None, revision=peft.revision, peft=peft)
    if (folder / "config.json").is_file():
        return CheckpointParts(str(folder), None)
    message, expected = f"'{path}' is not a model folder", "a folder with config.json"
    raise UserError(message, where=where, expected=expected, found=contents(folder))


def _on_a_base(folder: Path) -> CheckpointParts:
    """A checkpoint of adapters, whose base.json says what they were trained on."""
    file = folder / "base.json"
    place, revision = read_base(file)
    if local_folder(place) is None and not is_hub_id(place):
        raise UserError(
            "the model that this checkpoint's adapters were trained on is not here",
            where=str(file),
            found=place,
            todo="write its folder or hub id there",
        )
    return CheckpointParts(place, str(folder), revision=revision, is_base=True, quantization=_quantization(folder))


def _quantization(folder: Path) -> str | None:
    """How the base of a checkpoint's adapters was quantised; UserError for what cannot be."""
    file = folder / "base.json"
    said = read_model_json(file).get("quantization") if file.is_file() else None
    if said is not None and said not in BITS_HERE:
        raise UserError("unknown quantization", where=str(file), expected=", ".join(BITS_HERE), found=repr(said)[:60])
    return said
