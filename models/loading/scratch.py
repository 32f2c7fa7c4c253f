"""Backbones made here: a word-level tokenizer trained on texts, and random weights of any architecture in an ordinary folder.

tokenizer = train_tokenizer(texts, vocab_size=6000)
init_scratch({"model_type": "xlm-roberta", "hidden_size": 128, ...}, tokenizer=tokenizer, folder=folder, seed=1)
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import AutoConfig, PretrainedConfig, PreTrainedTokenizerFast

from harness.api.errors import UserError
from models.loading.architectures import make_model
from models.loading.pretrained import UNLIMITED, position_limit, quiet

SPECIALS = {"cls_token": "<s>", "pad_token": "<pad>", "sep_token": "</s>", "unk_token": "<unk>", "mask_token": "<mask>"}


def train_tokenizer(texts: Iterable[str], *, vocab_size: int) -> PreTrainedTokenizerFast:
    """Word-level tokenizer (whitespace, punctuation apart) of the most frequent words, ties in code point order."""
    if vocab_size <= len(SPECIALS):
        raise UserError(
            f"a vocabulary of {vocab_size} has no room for words", expected=f"more than {len(SPECIALS)} special tokens"
        )
    splitter = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation("isolated")])
    counts = Counter(word for text in texts for word, _ in splitter.pre_tokenize_str(text))
    words = sorted((word for word in counts if word not in SPECIALS.values()), key=lambda word: (-counts[word], word))
    entries = [*SPECIALS.values(), *words[: vocab_size - len(SPECIALS)]]
    vocabulary = {word: index for index, word in enumerate(entries)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=SPECIALS["unk_token"]))
    tokenizer.pre_tokenizer = splitter
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[(word, vocabulary[word]) for word in ("<s>", "</s>")],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        model_input_names=["input_ids", "attention_mask"],
        clean_up_tokenization_spaces=False,
        **SPECIALS,
    )


def init_scratch(config: Mapping[str, Any], *, tokenizer: PreTrainedTokenizerFast, folder: str | Path, seed: int) -> None:
    """Write a model folder with random weights; `config` holds `model_type` and settings; vocabulary and ids are added."""
    made = _configuration(config, tokenizer)
    # transformers draws from the global generator; what it held is put back.
    with torch.random.fork_rng(devices=[]), quiet():
        torch.manual_seed(seed)
        model = make_model(made)
        model.save_pretrained(folder)
    limit = position_limit(model)
    if limit < UNLIMITED:
        tokenizer.model_max_length = limit
    tokenizer.save_pretrained(folder)


def _configuration(config: Mapping[str, Any], tokenizer: PreTrainedTokenizerFast) -> PretrainedConfig:
    """The configuration with the tokenizer's vocabulary size and special ids; UserError for an unknown model_type."""
    arguments = dict(config)
    model_type = arguments.pop("model_type", None)
    ids = {f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in ("bos", "eos", "pad", "cls", "sep", "mask")}
    try:
        return AutoConfig.for_model(model_type, **{"vocab_size": len(tokenizer), **ids, **arguments})
    except ValueError as error:
        raise UserError(
            f"cannot make a configuration of model_type '{model_type}'",
            where="scratch.config",
            expected="a model_type of transformers and its settings",
            found=str(error).splitlines()[0],
        ) from error
