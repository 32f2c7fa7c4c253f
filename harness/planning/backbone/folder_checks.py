"""A model folder looked at before anything is loaded: configuration, headers of weights, tokenizer, heads.

    check_folder(Path("models/xlm-roberta-base"), trusts_code=False)      # UserErrors: all that is wrong
    config = check_config(Path("models/xlm-roberta-base/config.json"))    # the object, once what is read of it makes sense

No tensor is read.  Imports neither torch nor transformers.
"""

import ast
import importlib.util
import re
import zipfile
from collections.abc import Callable, Mapping
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, StrictStr

from harness.api.cache_entries import cache_entries
from harness.api.errors import UserError, collecting, did_you_mean, raise_all
from harness.api.file_states import FileState, clock
from harness.api.model_files import VOCABULARIES, check_weights, contents, read_model_json, weight_files
from harness.specs.key_values import checked, shown

PICKLES = ("pytorch_model.bin", "pytorch_model-*-of-*.bin")
OLD_PICKLE = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"How torch.save began before torch 1.6."
JSON_FILES = ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "generation_config.json", "vocab.json")
"Beside config.json and tokenizer.json: objects, where they are there."
TEXT_FILES = ("vocab.txt", "merges.txt", "chat_template.jinja")
"Files that are UTF-8 text, where they are there."

RANKED = re.compile(rb"[A-Za-z0-9+/]+=* \d+\r?\n")
"The first line of a vocabulary of tiktoken."

CHECKED_TOKENIZERS = "checked_tokenizers"
"In the user's cache: tokenizers that were loaded once, with the state of their files."

Size = Annotated[StrictInt, Field(ge=1, lt=1 << 40)]


def _numbered(names: dict[str, Any]) -> dict[str, Any]:
    if set(names) != {str(number) for number in range(len(names))}:
        raise ValueError("outputs are numbered from 0 on, and each has a name")
    return names


LabelNames = Annotated[dict[str, StrictStr | StrictInt | StrictBool | StrictFloat], AfterValidator(_numbered)]


class ModelConfig(BaseModel):
    """What this project reads of a config.json; all else is for transformers to judge."""

    model_config = ConfigDict(extra="allow", protected_namespaces=())

    model_type: StrictStr | None = None
    architectures: list[StrictStr] | None = None
    is_encoder_decoder: StrictBool | None = None
    tie_word_embeddings: StrictBool | None = None
    text_config: dict[str, Any] | None = None
    auto_map: dict[str, Any] = {}
    id2label: LabelNames | None = None
    num_hidden_layers: Size | None = None
    num_layers: Size | None = None
    n_layer: Size | None = None
    hidden_size: Size | None = None
    d_model: Size | None = None
    n_embed: Size | None = None
    n_embd: Size | None = None
    vocab_size: Size | None = None
    max_position_embeddings: Size | None = None
    n_positions: Size | None = None
    quantization_config: dict[str, Any] | None = None


def check_config(file: Path) -> dict[str, Any]:
    """config.json of a model; UserErrors for what is no object, or holds values that cannot be what their names say."""
    config = read_model_json(file)
    checked(config, ModelConfig, where=str(file))
    inner = config.get("text_config")
    if inner:
        checked(inner, ModelConfig, where=f"{file} text_config")
    return config


def check_folder(folder: Path, *, trusts_code: bool, model_type: str | None = None) -> None:
    """Raise all that is wrong with the files of a backbone; what is missing is said by whoever needs it, but for the weights."""
    errors: list[UserError] = []
    with collecting(errors):
        config = check_config(folder / "config.json")
        if not trusts_code:
            check_model_type(model_type or config.get("model_type"), where=f"{folder / 'config.json'} model_type")
    with collecting(errors):
        files = weight_files(folder)
        check_weights(files)
        pickles = [file for pattern in PICKLES for file in sorted(folder.glob(pattern)) if not files]
        for file in pickles:
            check_pickle(file)
        if not files and not pickles:
            raise UserError(
                f"'{folder}' holds no weights",
                expected="model.safetensors, model-*-of-*.safetensors or pytorch_model.bin",
                found=contents(folder),
                todo="fetch the model again: the download may have stopped half-way",
            )
    raise_all(errors)


def check_pickle(file: Path) -> None:
    """UserError for what is no file of torch.save, by its beginning and end."""
    try:
        with file.open("rb") as handle:
            is_old = handle.read(len(OLD_PICKLE)) == OLD_PICKLE
        is_new = zipfile.is_zipfile(file)
    except OSError as error:
        raise UserError("cannot read these weights", where=str(file), found=str(error.strerror)) from error
    if not (is_old or is_new):
        expected, todo = "a file of torch.save, whole", "fetch the model again: the download may have stopped half-way"
        raise UserError("cannot read these weights", where=str(file), expected=expected, todo=todo)


def check_checkpoint(folder: Path) -> None:
    """Raise all that is wrong with what a checkpoint of this project holds beside its backbone."""
    errors: list[UserError] = []
    for name in ("heads.json", "decoder.json", "base.json"):
        with collecting(errors):
            if (folder / name).is_file():
                read_model_json(folder / name)
    heads = folder / "heads.safetensors"
    for file in [*([heads] if heads.is_file() else []), *sorted(folder.glob("adapters/*/adapter_model.safetensors"))]:
        with collecting(errors):
            check_weights([file])
    for file in sorted(folder.glob("adapters/*/adapter_config.json")):
        with collecting(errors):
            read_model_json(file)
    raise_all(errors)


def check_tokenizer(folder: Path, *, trusts_code: bool) -> None:
    """Raise UserErrors for a folder without a vocabulary, and for files of a tokenizer that are not what their names say."""
    errors: list[UserError] = []
    if not trusts_code and not any(file.is_file() for name in VOCABULARIES for file in folder.glob(name)):
        errors.append(
            UserError(
                "no tokenizer: its vocabulary is not here",
                where=str(folder),
                expected=" or ".join(VOCABULARIES),
                found=contents(folder),
                todo="copy it from where the weights come from, or give --model_args tokenizer=<folder or hub id>",
            )
        )
    for name in JSON_FILES:
        with collecting(errors):
            if (folder / name).is_file():
                read_model_json(folder / name)
    for name in TEXT_FILES:
        with collecting(errors):
            _read(folder / name, lambda file: file.read_text(encoding="utf-8"), expected="UTF-8 text")
    for file in sorted(folder.glob("*.model")) if not (folder / "tokenizer.json").is_file() else ():
        with collecting(errors):
            _read(file, _vocabulary, expected="a SentencePiece model, or ranked byte pairs as tiktoken writes them")
    with collecting(errors):
        _read(folder / "tokenizer.json", _fast_tokenizer, expected="a tokenizer of the package `tokenizers`")
    raise_all(errors)


def _read(file: Path, read: Callable[[Path], object], *, expected: str) -> None:
    """Read a file, if it is there; UserError where it cannot be read."""
    if not file.is_file():
        return
    try:
        read(file)
    except Exception as error:  # `tokenizers` raises plain Exceptions: whatever it is, the file is not what its name says
        found = f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}"[:160]
        raise UserError("cannot read this file of a tokenizer", where=str(file), expected=expected, found=found) from error


def _fast_tokenizer(file: Path) -> None:
    """Load a tokenizer, which takes a second where it has many words, unless this very file was loaded before."""
    state, looked_at = FileState.of(file), clock()
    store, name = cache_entries(CHECKED_TOKENIZERS), f"{metadata.version('tokenizers')} {file.resolve()}"
    known = store.get(name)
    if isinstance(known, list) and known[:-1] == list(state) and state.is_certain(looked_at=known[-1], now=looked_at):
        return
    from tokenizers import Tokenizer

    Tokenizer.from_file(str(file))
    if state.is_certain(looked_at=looked_at, now=clock()):  # else it is in doubt for ever
        store.add({name: [*state, looked_at]})


def _vocabulary(file: Path) -> None:
    from sentencepiece import SentencePieceProcessor

    with file.open("rb") as handle:
        first = handle.readline(200)
    if not RANKED.fullmatch(first):
        SentencePieceProcessor().LoadFromFile(str(file))


def check_model_type(model_type: Any, *, where: str) -> None:
    """UserError for a model_type that the installed transformers does not know."""
    known = known_model_types()
    if known and model_type not in known:
        near = did_you_mean(str(model_type), known, listed=0)
        raise UserError(
            "the installed transformers knows no such model_type" if model_type else "there is no model_type",
            where=where,
            found=shown(model_type),
            todo=near if near.startswith("did") else "`--model_args model_type=...` corrects a wrong one",
        )


@cache
def known_model_types() -> frozenset[str]:
    """The model types of the installed transformers, read in its source, not imported; empty where it keeps them elsewhere."""
    package = importlib.util.find_spec("transformers")
    for place in (package.submodule_search_locations or ()) if package else ():
        for name in ("auto_mappings.py", "configuration_auto.py"):
            file = Path(place, "models", "auto", name)
            found = _mapped(file) if file.is_file() else {}
            if found:
                return frozenset({*found, "gpt-sw3"})
    return frozenset()


def _mapped(file: Path) -> Mapping[str, str]:
    """The pairs of `CONFIG_MAPPING_NAMES = OrderedDict([...])`."""
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        targets = [ast.unparse(target) for target in getattr(node, "targets", [getattr(node, "target", None)]) if target]
        value = getattr(node, "value", None)
        if targets == ["CONFIG_MAPPING_NAMES"] and isinstance(value, ast.Call) and len(value.args) == 1:
            try:
                return dict(ast.literal_eval(value.args[0]))
            except ValueError:
                return {}
    return {}
