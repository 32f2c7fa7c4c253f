"""What a board says of a backbone: where it is from, its sizes, licence and pitfalls.

facts = board_facts(preset, "FacebookAI/xlm-roberta-base", arguments, knobs)
facts["parameters"], facts["licence"]         # from the headers of its weights where they are here, else from its preset
"""

import dataclasses
from typing import Any

from harness.api.model_files import local_folder
from harness.api.quantization import gguf_file
from harness.data.pretraining_coverage import covered
from harness.planning.backbone.folders import folder_name
from harness.planning.backbone.gguf_files import gguf_sizes
from harness.planning.backbone.sizes import read_sizes, read_storage
from harness.planning.catalog.catalog import Entry
from harness.runtime.arguments import ModelArguments
from harness.runtime.knobs import Knobs
from harness.specs.preset import PresetSpec


def board_facts(preset: Entry[PresetSpec] | None, path: Any, arguments: ModelArguments, knobs: Knobs) -> dict[str, Any]:
    """What the board says of the model; sizes from the weights' headers where they are here, else from the preset."""
    spec = preset.spec if preset else None
    folder, file = (local_folder(str(path)), gguf_file(str(path))) if path else (None, None)
    keys = ("parameters", "non_embedding_parameters", "layers", "hidden_size", "licence")
    facts: dict[str, Any] = spec.model_dump(include=set(keys)) if spec else dict.fromkeys(keys)
    if file:
        facts |= gguf_sizes(file)
    elif folder:
        facts |= {**read_sizes(folder), **read_storage(folder)}
    if arguments.extra.get("quantization"):
        facts["quantization"] = f"bitsandbytes {arguments.extra['quantization']}"
    held = covered(spec.languages) if spec else None
    return {
        "path": folder_name(str(path)) if folder else file.name if file else path,
        "adapter_on": "" if knobs.peft is None else folder_name(str(path)),
        "preset": spec.preset if spec else None,
        "family": spec.family if spec else "",
        "coverage": dataclasses.asdict(held) if held else None,
        "revision": knobs.revision,
        "adapter": arguments.adapter,
        "fingerprint": arguments.fingerprint,
        "dtype": arguments.dtype,
        "pitfalls": list(spec.pitfalls) if spec else [],
        **facts,
    }
