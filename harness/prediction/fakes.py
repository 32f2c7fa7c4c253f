"""Outputs put in the model's place: `--model oracle` (always right), `random`, `constant`.

They run every task type and every YAML offline and without weights: the oracle must score 100, random must score near the task's
stated chance.  They are answers, not adapters: no forward pass is made and nothing is trained.

    fake = load_fake("oracle", tokenizer=None)
    fake.answer(feature, example, module=TASK_TYPES.load("tagging"), task=spec, options=options)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.api.errors import UserError, did_you_mean
from harness.api.protocols import Feature, Output
from harness.api.randomness import generator
from harness.specs.task import TaskSpec

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

KINDS = ("oracle", "random", "constant")
CONSTANT_TEXT = "word"
"What the constant fake writes."
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, kw_only=True)
class Fake:
    """One kind of made-up answers, with the tokenizer that cuts the texts."""

    kind: str
    tokenizer: Any
    "A fast tokenizer of transformers."

    def answer(self, feature: Feature, example: Any, *, module: Any, task: TaskSpec, options: Any) -> Any:
        """An output of the shape that a model would give for the feature, or a text where it would write one."""
        found = module.oracle(feature, example, task=task, options=options)
        right: Output | str = found if isinstance(found, str) else np.asarray(found, dtype=np.float32)
        if self.kind == "oracle":
            return right
        if self.kind == "constant":
            return CONSTANT_TEXT if isinstance(right, str) else np.ones_like(right)
        rng = generator("random fake", task.task, example.lang, example.id, feature.part, seed=0)
        return _random_words(rng) if isinstance(right, str) else rng.standard_normal(right.shape, dtype=np.float32)


def _random_words(rng: np.random.Generator) -> str:
    """One to six words of one to eight Latin letters."""
    return " ".join("".join(rng.choice(list(_LETTERS), size=size)) for size in rng.integers(1, 9, size=rng.integers(1, 7)))


def load_fake(kind: str, *, tokenizer: str | None) -> Fake:
    """A fake by its kind; its tokenizer is one token per character unless a folder or hub id is given."""
    if kind not in KINDS:
        raise UserError(f"unknown fake '{kind}'", todo=did_you_mean(kind, KINDS))
    if tokenizer is None:
        return Fake(kind=kind, tokenizer=character_tokenizer())
    from transformers import AutoTokenizer

    try:
        return Fake(kind=kind, tokenizer=AutoTokenizer.from_pretrained(tokenizer))
    except (OSError, ValueError) as error:
        raise UserError(
            f"no tokenizer '{tokenizer}'", where="--model_args tokenizer=...", expected="a folder or hub id", found=str(error)
        ) from error


def character_tokenizer() -> PreTrainedTokenizerFast:
    """One token per character that is not white space, with offsets; all characters share one id."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    specials = ["<s>", "</s>", "<pad>", "<unk>", "<mask>"]
    tokenizer = Tokenizer(models.WordLevel({token: number for number, token in enumerate(specials)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(r"\s+"), "removed"), pre_tokenizers.Split(Regex(r"."), "isolated")]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 1)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        cls_token="<s>",
        eos_token="</s>",
        sep_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        mask_token="<mask>",
        model_max_length=10**9,
    )
