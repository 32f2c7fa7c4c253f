"""Where weights lie: a hub id or a folder becomes a local folder with config.json and safetensors files.

    folder = locate("FacebookAI/xlm-roberta-base", revision=None)      # downloads what is missing, or says why it cannot
    tensors = read_tensors(folder, ("lm_head.bias",))

A repository that has only pytorch_model.bin is converted once, into the user's cache folder (see conversion.py).
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from huggingface_hub import constants, snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from safetensors import safe_open

from harness.api.errors import UserError
from harness.api.model_files import check_weights, contents, local_folder, weight_files
from harness.api.quantization import gguf_file
from models.loading.conversion import converted
from models.loading.gguf import prepare_gguf

SMALL_FILES = ("*.json", "*.txt", "*.model", "*.jinja", "*.tiktoken")
SAFETENSORS = ("model.safetensors", "model-*-of-*.safetensors")
PICKLES = ("pytorch_model.bin", "pytorch_model-*-of-*.bin")
EXPECTED = "a preset, a hub id `org/name`, or a folder with config.json, weights and tokenizer files"


def locate(path: str, *, revision: str | None = None, remote_code: bool = False) -> Path:
    """Local folder with config.json and safetensors weights; UserError if there is no such model or it cannot be had."""
    file = gguf_file(path)
    if file is not None:
        return prepare_gguf(file)
    folder = local_folder(path)
    if folder is None:
        folder = _download(path, revision=revision, patterns=(*SMALL_FILES, *SAFETENSORS, *(("*.py",) if remote_code else ())))
        if not matching(folder, SAFETENSORS):
            _download(path, revision=revision, patterns=PICKLES)
    if not (folder / "config.json").is_file():
        message = f"'{path}' is not a model folder: it has no config.json"
        raise UserError(message, expected=EXPECTED, found=contents(folder))
    weights = weight_files(folder)
    if weights:
        check_weights(weights)
        return folder
    pickles = matching(folder, PICKLES)
    if not pickles:
        raise UserError(
            f"'{path}' holds no weights",
            expected=" or ".join((*SAFETENSORS, *PICKLES)),
            found=contents(folder),
            todo="fetch the model again: the download may have stopped half-way",
        )
    return converted(folder, pickles, others=matching(folder, (*SMALL_FILES, "*.py")))


def locate_tokenizer(path: str, *, revision: str | None = None, remote_code: bool = False) -> Path:
    """Local folder with tokenizer files; UserError if there is none."""
    folder = local_folder(path)
    return folder or _download(path, revision=revision, patterns=(*SMALL_FILES, *(("*.py",) if remote_code else ())))


def read_tensors(folder: Path, names: Iterable[str]) -> dict[str, torch.Tensor]:
    """Those of the named tensors that the folder's safetensors files hold; the others are not read from disk."""
    wanted, found = set(names), {}
    for file in weight_files(folder):
        with safe_open(file, framework="pt") as tensors:
            found.update({name: tensors.get_tensor(name) for name in tensors.keys() if name in wanted})  # noqa: SIM118
    return found


def tensor_names(folder: Path) -> set[str]:
    """Names of all tensors in the folder's safetensors files; none of them is read."""
    names: set[str] = set()
    for file in weight_files(folder):
        with safe_open(file, framework="pt") as tensors:
            names.update(tensors.keys())
    return names


def matching(folder: Path, patterns: Sequence[str]) -> list[Path]:
    """Files of the folder itself that match, sorted."""
    return sorted(file for pattern in patterns for file in folder.glob(pattern))


def _download(path: str, *, revision: str | None, patterns: Sequence[str]) -> Path:
    """Snapshot folder of a hub repository with the matching files of its top level."""
    if path.startswith(("/", ".", "~")) or path.count("/") > 1:
        raise UserError(f"there is no folder '{path}'", expected=EXPECTED)
    try:
        snapshot = snapshot_download(
            path,
            revision=revision,
            allow_patterns=list(patterns),
            ignore_patterns=["*/*"],
            local_files_only=constants.HF_HUB_OFFLINE,  # some versions ask for a commit's list of files even offline, and fail
        )
    except (HFValidationError, HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise UserError(
            f"cannot get the model '{path}'" + (f" at revision '{revision}'" if revision else ""),
            expected=EXPECTED,
            found=f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}",
            todo="check the name; without network, run `fetch` where there is one and copy its cache, or give a folder",
        ) from error
    return Path(snapshot)
