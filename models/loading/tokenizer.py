"""Tokenizers of pretrained models: loaded, and held against the model they are to serve.

tokenizer = load_tokenizer(folder, source, vocab_size=model.get_input_embeddings().num_embeddings)
adds_first_token(tokenizer)        # whether a text begins with a token that is none of its words
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tokenizers
import transformers
from transformers import AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from harness.api.cache import cache_folder, recall, remember
from harness.api.errors import UserError
from harness.api.later_tokenizer import LaterTokenizer, known_of
from harness.api.model_files import VOCABULARIES, contents
from harness.api.model_source import ModelSource
from models.loading.files import SMALL_FILES, locate_tokenizer, matching
from models.loading.pretrained import first_line, quiet

VERSION = 1
"Of what is written down of a tokenizer: raise it when that is worked out, or a tokenizer is checked, in another way."
KNOWN = ("pad_token", "pad_token_id", "mask_token_id", "model_input_names", "all_special_ids", "vocab_size")
"Attributes that are written down of a tokenizer that was read."


def find_tokenizer(folder: Path, source: ModelSource, *, vocab_size: int) -> PreTrainedTokenizerFast:
    """What `load_tokenizer` loads, read only when it is needed where files of the same content were read before.

    Hashing 15 MB of them takes 10 ms, reading them 2.5 s.  Raises UserError as `load_tokenizer` does; only what it found good is
    remembered.
    """
    place = _place(folder, source)

    def read() -> PreTrainedTokenizerFast:
        return load_tokenizer(folder, source, vocab_size=vocab_size)

    if source.trust_remote_code:
        return read()
    try:
        content = _content(place)
    except OSError:
        return read()  # which says what is wrong with files that matter
    asked = [VERSION, str(source.extra.get("tokenizer_class")), vocab_size, place.resolve() == folder.resolve()]
    key = json.dumps([asked, transformers.__version__, tokenizers.__version__, content])
    store = cache_folder() / "tokenizers" / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.json"

    def note(known: Mapping[str, Any]) -> None:
        if _content(place) == content:  # nobody changed the files while they were read
            remember(store, dict(known))

    def read_again() -> PreTrainedTokenizerFast:
        found = read()
        if _content(place) != content:  # tokens would be kept under the name of what the files were
            raise UserError(
                "the tokenizer's files have changed since the model was loaded", where=str(place), todo="run it again"
            )
        return found

    known: Mapping[str, Any] = recall(store)
    there = None if known else read()
    if there is not None:
        known = {**{name: getattr(there, name) for name in KNOWN}, "length": len(there)}
        note(known)
    later: Any = LaterTokenizer(known, read=read_again, note=note, there=there)
    return later


def _place(folder: Path, source: ModelSource) -> Path:
    """The folder of the tokenizer's files."""
    return locate_tokenizer(source.tokenizer, remote_code=source.trust_remote_code) if source.tokenizer else folder


def _content(place: Path) -> list[tuple[str, str]]:
    """Hashes of the files that may decide what the tokenizer of a folder is; raises OSError."""
    files = [file for file in matching(place, SMALL_FILES) if file.name != "heads.json"]
    return [(file.name, hashlib.sha256(file.read_bytes()).hexdigest()) for file in files]


def load_tokenizer(folder: Path, source: ModelSource, *, vocab_size: int, pads_with_end: bool = False) -> PreTrainedTokenizerFast:
    """Fast tokenizer of the folder or of `source.tokenizer`; `extra['tokenizer_class']` names its class where files do not.

    With `pads_with_end` one without a padding token that the model knows pads with the token that ends a text.
    """
    place = _place(folder, source)
    name = str(source.extra.get("tokenizer_class", "AutoTokenizer"))
    kind: Any = AutoTokenizer if name == "AutoTokenizer" else getattr(transformers, name, None)
    if not (name == "AutoTokenizer" or (isinstance(kind, type) and issubclass(kind, PreTrainedTokenizerBase))):
        raise UserError(f"transformers has no tokenizer class '{name}'", where="tokenizer_class")
    arguments = {"trust_remote_code": source.trust_remote_code} if kind is AutoTokenizer else {}
    _check_vocabulary_files(place, source)
    try:
        with quiet():
            tokenizer = kind.from_pretrained(place, **arguments)
    except Exception as error:  # `tokenizers` raises plain Exceptions
        raise UserError(
            "cannot load a tokenizer",
            where=str(place),
            expected="tokenizer.json or the files it is made of",
            found=first_line(error),
        ) from error
    if not getattr(tokenizer, "is_fast", False):
        raise UserError(
            f"{type(tokenizer).__name__} gives no character offsets",
            where=str(place),
            expected="a fast tokenizer (tokenizer.json)",
            todo="give another one with --model_args tokenizer=...",
        )
    if pads_with_end and (tokenizer.pad_token is None or tokenizer.pad_token_id >= vocab_size):
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.bos_token or tokenizer.unk_token
    if tokenizer.pad_token_id is None:
        raise UserError("the tokenizer has no padding token", where=str(place), expected="`pad_token` in tokenizer_config.json")
    _check_vocabulary(tokenizer, place, vocab_size=vocab_size, is_own=place.resolve() == folder.resolve())
    return tokenizer


def _check_vocabulary_files(place: Path, source: ModelSource) -> None:
    """Refuse a folder without a vocabulary: transformers would make a tokenizer up, of special tokens only."""
    if source.trust_remote_code or matching(place, VOCABULARIES):
        return
    raise UserError(
        "cannot load a tokenizer: its vocabulary is not here",
        where=str(place),
        expected=" or ".join(VOCABULARIES),
        found=contents(place),
        todo="copy it from where the weights come from, or give --model_args tokenizer=<folder or hub id>",
    )


def _check_vocabulary(tokenizer: PreTrainedTokenizerFast, place: Path, *, vocab_size: int, is_own: bool) -> None:
    """Refuse a tokenizer that is not the model's: larger than its table of words, far smaller, or of special tokens only.

    What lies beside the weights (`is_own`) may be far smaller than the table, as its authors made it.  Added tokens may lie
    beyond the table (Gemma 3): whether rows hold them is looked at where they become features.
    """
    todo = "give the model's own tokenizer with --model_args tokenizer=<folder or hub id>"
    num_special = len(set(tokenizer.all_special_ids))
    if tokenizer.vocab_size <= num_special and len(tokenizer) <= num_special:
        found = f"{num_special} special tokens only"
        raise UserError("the tokenizer has no vocabulary", where=str(place), found=found, todo=todo)
    if tokenizer.vocab_size > vocab_size or (not is_own and 2 * len(tokenizer) < vocab_size):
        raise UserError(
            "tokenizer and model do not belong together",
            where=str(place),
            expected=f"at most {vocab_size} tokens, the rows of the model's embeddings, and at least half as many",
            found=f"{len(tokenizer)} tokens",
            todo=todo,
        )
    if int(tokenizer.pad_token_id or 0) >= vocab_size:
        raise UserError(
            "the padding token has no vector in the model",
            where=str(place),
            expected=f"an id below {vocab_size}, the rows of the model's embeddings",
            found=f"id {tokenizer.pad_token_id} ('{tokenizer.pad_token}')",
            todo=todo,
        )


def adds_first_token(tokenizer: PreTrainedTokenizerFast) -> bool:
    """Whether the tokenizer puts a token of its own before a text (XLM-R, Llama; not T5, Qwen, BLOOM, SmolLM2)."""
    return bool(
        known_of(tokenizer, "adds_first", lambda own: bool(own("a", return_special_tokens_mask=True)["special_tokens_mask"][0]))
    )
