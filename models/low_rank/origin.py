"""Which weights a source means: a backbone, with the adapters that a checkpoint or a folder of peft adds to it.

origin = find_origin(source, checkpoint_folder(source, with_base=True))
origin.folder, origin.adapters, origin.chain
"""

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.api.errors import UserError
from harness.api.model_files import read_base, read_model_json
from harness.api.model_source import ModelSource
from models.headed.checkpoint import BASE_FILE, has_backbone
from models.loading.files import locate
from models.low_rank.files import adapter_folders

CHAINS = ("merge", "stack")


@dataclass(frozen=True, kw_only=True)
class Origin:
    """The folders from which the weights of a model are loaded."""

    source: ModelSource
    "Its path is that of a backbone, not of a checkpoint."
    folder: Path
    "What the weights were read from."
    is_own: bool
    "Whether only a checkpoint holds them."
    adapters: Sequence[Path]
    "Put into or beside them, in order."
    chain: str | None = None
    "How the adapters of its checkpoint were put together, where that is not the usual way."
    foreign: Path | None = None
    "An adapter of peft that was trained elsewhere, where no checkpoint stands in its place."


def find_origin(source: ModelSource, checkpoint: Path | None) -> Origin:
    """Which weights a source means: those of its checkpoint, or those of its path with the checkpoint's adapters.

    UserError for a checkpoint that was trained on another quantisation of its base than the one asked for.
    """
    facts = _facts(checkpoint)
    if checkpoint is not None and Path(source.path).expanduser() == checkpoint:
        own: dict[str, Any] = {"path": str(checkpoint / "backbone"), "revision": None}
        if not has_backbone(checkpoint):
            own["path"], own["revision"] = read_base(checkpoint / BASE_FILE)
        source = dataclasses.replace(source, **own)
    trained_on, wanted = facts.get("quantization"), source.extra.get("quantization")
    if adapter_folders(checkpoint) and wanted not in (None, trained_on):
        raise UserError(
            "adapters answer beside the weights that they were trained on",
            where=str(checkpoint),
            expected=f"quantization={trained_on}" if trained_on else "no quantization",
            found=f"quantization={wanted}",
        )
    if trained_on and not wanted:
        source = dataclasses.replace(source, extra={**source.extra, "quantization": trained_on})
    if checkpoint is not None and has_backbone(checkpoint):
        folder = checkpoint / "backbone"
    else:
        folder = locate(source.path, revision=source.revision, remote_code=source.trust_remote_code)
    is_own = folder.parent == checkpoint and folder.resolve() != Path(source.path).expanduser().resolve()
    return Origin(
        source=source,
        folder=folder,
        is_own=is_own,
        adapters=adapter_folders(checkpoint),
        chain=facts.get("chain"),
        foreign=Path(source.peft).expanduser() if source.peft and checkpoint is None else None,
    )


def _facts(checkpoint: Path | None) -> dict[str, Any]:
    """What base.json says of a checkpoint's adapters; UserError for what cannot be."""
    file = checkpoint / BASE_FILE if checkpoint else None
    if file is None or not file.is_file():
        return {}
    found = read_model_json(file)
    for key, known in (("chain", CHAINS), ("quantization", ("nf4", "int8"))):
        if found.get(key) not in (None, *known):
            raise UserError(f"unknown {key}", where=str(file), expected=", ".join(known), found=repr(found[key])[:60])
    return found


def write_base(origin: Origin, target: Path, *, chain: str | None) -> str:
    """Write what a checkpoint's adapters were trained on, unless it goes along and all is as usual; returns the base's name."""
    base = Path(origin.source.path).expanduser()
    place = str(base.resolve()) if base.exists() else origin.source.path
    facts: dict[str, Any] = {"path": "backbone" if origin.is_own else place, "revision": origin.source.revision}
    more = {"quantization": origin.source.extra.get("quantization"), "chain": chain}
    facts |= {key: value for key, value in more.items() if value}
    if not origin.is_own or len(facts) > 2:
        (target / BASE_FILE).write_text(json.dumps(facts, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return base.name if base.exists() else origin.source.path
