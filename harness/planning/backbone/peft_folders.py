"""A folder of peft looked at before anything is loaded: what it was trained on, whether it fits, what it brings.

    found = read_peft_folder(Path("my-lora"), base=None)        # `base` is what --model_args base= says
    found.base, found.revision, found.task_type, found.kind     # '../xlm-roberta-base', None, 'SEQ_CLS', 'LoRA'

No tensor is read: shapes come from the headers of safetensors files.  Imports neither torch nor peft.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr

from harness.api.errors import UserError
from harness.api.model_files import contents, local_folder, read_header, read_model_json, weight_files
from harness.data.file_hashes import files_fingerprint
from harness.planning.backbone.folder_checks import check_pickle
from harness.planning.backbone.hub_ids import is_hub_id
from harness.specs.key_values import checked

CONFIG, WEIGHTS, PICKLE = "adapter_config.json", "adapter_model.safetensors", "adapter_model.bin"
KINDS = {"LORA": "LoRA", "LOHA": "LoHa", "LOKR": "LoKr", "IA3": "IA3"}
"Kinds of adapters that can be merged into weights, so that what is loaded is an ordinary model."
PROMPTS = ("PROMPT_TUNING", "PREFIX_TUNING", "P_TUNING", "MULTITASK_PROMPT_TUNING", "ADAPTION_PROMPT", "CARTRIDGE")
HEADS = {"SEQ_CLS": "sequence", "TOKEN_CLS": "token", "QUESTION_ANS": "span"}
"Task types of peft whose adapters bring a head that can be asked as it is."
PREFIX = "base_model.model."
INSIDE = ("lora_A", "lora_B")
Pattern = Annotated[dict[StrictStr, StrictInt | float], Field(default={})]


class PeftConfig(BaseModel):
    """What this project reads of an adapter_config.json; all else is for peft to judge."""

    model_config = ConfigDict(extra="allow", protected_namespaces=())

    peft_type: StrictStr
    base_model_name_or_path: StrictStr | None = None
    revision: StrictStr | None = None
    task_type: StrictStr | None = None
    r: StrictInt | None = Field(default=None, ge=1, lt=1 << 31)
    use_dora: StrictBool | None = None
    use_rslora: StrictBool | None = None
    modules_to_save: list[StrictStr] | None = None
    rank_pattern: Pattern
    alpha_pattern: Pattern


@dataclass(frozen=True, kw_only=True)
class PeftFolder:
    """An adapter that peft has trained elsewhere."""

    folder: Path
    base: str
    "Folder or hub id of the model that it was trained on."
    revision: str | None
    "Commit of the base on the hub."
    kind: str
    "LoRA, DoRA, ..."
    task_type: str | None
    head: bool
    "Whether it brings a head that can be asked as it is."


def is_peft_folder(folder: Path) -> bool:
    """Whether a folder is an adapter of peft and no checkpoint of this project."""
    return (folder / CONFIG).is_file()


def read_peft_folder(folder: Path, *, base: str | None) -> PeftFolder:
    """What an adapter says of itself; UserError for one that cannot be merged, lacks its weights or does not say its base."""
    file = folder / CONFIG
    if (folder / "config.json").is_file() and weight_files(folder):
        raise UserError(
            f"'{folder}' holds an adapter of peft and a whole model: which one is meant?",
            where="--model",
            found=f"{CONFIG} beside config.json and weights",
            todo=f"remove {CONFIG} if the adapter has been merged into it; else move the adapter's files elsewhere",
        )
    config = checked(read_model_json(file), PeftConfig, where=str(file))
    if config.peft_type not in KINDS:
        what = "it puts vectors before the text, and is no change of weights" if config.peft_type in PROMPTS else ""
        raise UserError(
            f"adapters of the kind '{config.peft_type[:40]}' are not read here",
            where=str(file),
            expected=", ".join(KINDS),
            found=what,
            todo="" if what else "merge it into its model by peft, and give the folder of that",
        )
    _check_files(folder)
    place = _place(folder, base or config.base_model_name_or_path, said=base is not None)
    kind = "DoRA" if config.use_dora else "rsLoRA" if config.use_rslora else KINDS[config.peft_type]
    found = PeftFolder(
        folder=folder,
        base=place,
        revision=None if base else config.revision,
        kind=kind,
        task_type=config.task_type,
        head=config.task_type in HEADS and bool(config.modules_to_save),
    )
    _check_shapes(found)
    return found


def peft_fingerprint(folder: Path) -> str:
    """Fingerprint of what an adapter is: its configuration and weights."""
    return files_fingerprint([folder / name for name in (CONFIG, WEIGHTS, PICKLE) if (folder / name).is_file()])


def _check_files(folder: Path) -> None:
    if (folder / WEIGHTS).is_file():
        read_header(folder / WEIGHTS)
    elif (folder / PICKLE).is_file():
        check_pickle(folder / PICKLE)
    else:
        raise UserError(
            f"'{folder}' holds no weights of an adapter",
            where="--model",
            expected=f"{WEIGHTS} or {PICKLE}",
            found=contents(folder),
        )


def _place(folder: Path, named: str | None, *, said: bool) -> str:
    """The folder or hub id of a base; what a configuration names may be a path, lie beside the adapter, or be a hub id."""
    where = "--model_args base" if said else str(folder / CONFIG)
    todo = "name it: --model_args base=<folder or hub id>"
    if not named:
        raise UserError("this does not say what the adapter was trained on", where=where, todo=todo)
    for place in (
        (named,) if said else (named, str(folder / named), str(folder.parent / named), str(folder.parent / Path(named).name))
    ):
        found = local_folder(place)
        if found is None:
            continue
        if (found / "backbone" / "config.json").is_file():
            return str(found / "backbone")
        if not (found / "config.json").is_file() or is_peft_folder(found):
            expected = "a folder with config.json and all weights"
            raise UserError(
                "an adapter needs a whole model below it", where=where, expected=expected, found=f"{place}: {contents(found)}"
            )
        return place
    if is_hub_id(named):
        return named
    raise UserError(
        "the model that this adapter was trained on is not here",
        where=where,
        expected="a folder, or a hub id `org/name`",
        found=named[:200],
        todo=todo,
    )


def _check_shapes(adapter: PeftFolder) -> None:
    """UserError where the matrices of a LoRA adapter have other widths than the layers of a base that is here."""
    base = local_folder(adapter.base)
    if base is None or not (adapter.folder / WEIGHTS).is_file():
        return
    stored = {tensor.name: tensor.shape for file in weight_files(base) for tensor in read_header(file)}
    names: Mapping[str, Any] = {".".join(name.split(".")[-4:]): shape for name, shape in stored.items() if len(shape) == 2}
    seen = fitting = 0
    for tensor in read_header(adapter.folder / WEIGHTS):
        layer, _, rest = tensor.name.removeprefix(PREFIX).partition(".lora_")
        if rest not in ("A.weight", "B.weight") or len(tensor.shape) != 2:
            continue
        shape = names.get(".".join([*layer.split(".")[-3:], "weight"]))
        if shape is None:
            continue
        seen += 1
        width = tensor.shape[1] if rest[0] == "A" else tensor.shape[0]
        fitting += width in shape
        if width not in shape:
            raise UserError(
                "the adapter does not fit the model",
                where=str(adapter.folder / WEIGHTS),
                expected=f"layers as in {adapter.base}, where {layer.split('.')[-1]} is {shape[0]} x {shape[1]}",
                found=f"{tensor.name}: {' x '.join(map(str, tensor.shape))}",
                todo="name the model that it was trained on: --model_args base=<folder or hub id>",
            )
