"""Fingerprints of the files that a model is: what stage keys hold in place of paths.

weights_fingerprint("models/e5", None)                 # 'file:<hash>', of a hub id 'hub:<id>@<commit>'
tokenizer_fingerprint("models/words")                  # of the files that say how a text becomes ids, and of its chat template
chat_fingerprint("models/SmolLM2-135M-Instruct")       # of how a conversation is written; '' where nothing says so
"""

from collections.abc import Sequence
from typing import Any

from harness.api.model_files import local_folder
from harness.api.quantization import gguf_file
from harness.data.file_hashes import files_fingerprint
from harness.planning.backbone.folders import commit_in_cache

TOKENIZER = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.*",
    "merges.txt",
    "*.model",
    "*.tiktoken",
)
"Files that say how a text becomes ids."
WEIGHTS = ("*.safetensors", "*.bin", "config.json", "heads.json", "adapter_config.json", "decoder.json", "base.json", *TOKENIZER)
"Files that say what a model computes."
CHAT_FORMAT = ("chat_template*", "generation_config.json", "special_tokens_map.json", "tokenizer_config.json")
"What says how a conversation is written and where an answer ends."


def weights_fingerprint(path: str, revision: str | None, patterns: Sequence[str] = WEIGHTS) -> str:
    """`file:<hash>` of a local folder's weights, configuration and tokenizer; `hub:<id>@<commit>` otherwise."""
    single = gguf_file(path)
    if single:
        return files_fingerprint([single])
    folder = local_folder(path)
    if folder:
        files = sorted({file for pattern in patterns for file in folder.rglob(pattern) if file.is_file()})
        return files_fingerprint(files)
    return f"hub:{path}@{revision or commit_in_cache(path) or 'main'}"


def tokenizer_fingerprint(tokenizer: Any) -> str | None:
    """Another tokenizer gives other inputs: where it lies is a knob, what it is, is not."""
    if tokenizer is None:
        return None
    return weights_fingerprint(str(tokenizer), None, (*TOKENIZER, "chat_template*"))


def chat_fingerprint(path: str) -> str:
    """Fingerprint of the files of a local folder that say how a conversation is written; empty where there are none."""
    folder = local_folder(path)
    files = sorted({file for pattern in CHAT_FORMAT for file in (folder.glob(pattern) if folder else ()) if file.is_file()})
    return files_fingerprint(files) if files else ""
