"""Small tokenizers of the kinds that backbones have, made on the spot.

byte_bpe(prefix_space=False) makes a tokenizer like GPT-2's or Qwen's; KINDS has one of each kind by name.
"""

from collections.abc import Callable, Sequence

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

CORPUS = (
    "the cat sat on the mat and the dog ran far away home",
    "who wrote the long words in a book of one two three",
    "das ist ein neuer satz mit anna und berlin",
    "\u0643\u062a\u0628\u062a \u0644\u064a\u0644\u0649 \u0627\u0644\u0643\u062a\u0627\u0628",
    "\u4e2d\u6587 \u5317\u4eac\u5927\u5b66",
) * 3
SPECIALS = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")


def _wrap(tokenizer: Tokenizer, **settings: object) -> PreTrainedTokenizerFast:
    roles = {
        "bos_token": "<s>",
        "cls_token": "<s>",
        "eos_token": "</s>",
        "sep_token": "</s>",
        "unk_token": "<unk>",
        "pad_token": "<pad>",
        "mask_token": "<mask>",
    }
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **{**roles, **settings})


def _xlmr_frame() -> processors.TemplateProcessing:
    specials = [("<s>", 0), ("</s>", 2)]
    return processors.TemplateProcessing(single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=specials)


def word_level(words: Sequence[str] = ()) -> PreTrainedTokenizerFast:
    """Whole words, ids 5, 6, ... in the order given; special tokens as XLM-R's."""
    words = [*words] or sorted({word for line in CORPUS for word in line.split()})
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate([*SPECIALS, *words])}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = _xlmr_frame()
    return _wrap(tokenizer)


def word_piece(pieces: Sequence[str] = ()) -> PreTrainedTokenizerFast:
    """BERT's kind: `##` continues a word, token type ids, one separator between texts."""
    letters = sorted({letter for line in CORPUS for letter in line if letter != " "})
    pieces = [*pieces] or [*letters, *(f"##{letter}" for letter in letters), "the", "##at"]
    tokenizer = Tokenizer(models.WordPiece({piece: i for i, piece in enumerate([*SPECIALS, *pieces])}, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    specials = [("<s>", 0), ("</s>", 2)]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s>:0 $A:0 </s>:0 $B:1 </s>:1", special_tokens=specials
    )
    return _wrap(tokenizer, model_input_names=["input_ids", "token_type_ids", "attention_mask"])


def unigram() -> PreTrainedTokenizerFast:
    """XLM-R's kind: words split at whitespace, each begins with a metaspace; Unicode compatibility forms folded."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    trainer = trainers.UnigramTrainer(vocab_size=150, special_tokens=[*SPECIALS], unk_token="<unk>", show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.post_processor = _xlmr_frame()
    return _wrap(tokenizer)


def t5_like() -> PreTrainedTokenizerFast:
    """mT5's kind: metaspace without splitting at whitespace first, a closing token only."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=150, special_tokens=[*SPECIALS], unk_token="<unk>", show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 2)]
    )
    return _wrap(tokenizer)


def byte_bpe(*, prefix_space: bool) -> PreTrainedTokenizerFast:
    """GPT-2's kind: bytes, no unknown token, no special tokens around texts."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix_space)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=330, special_tokens=["</s>", "<mask>"], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="</s>", pad_token="</s>", mask_token="<mask>")


KINDS: dict[str, Callable[[], PreTrainedTokenizerFast]] = {
    "word_level": word_level,
    "word_piece": word_piece,
    "unigram": unigram,
    "t5_like": t5_like,
    "byte_bpe": lambda: byte_bpe(prefix_space=False),
    "byte_bpe_prefix": lambda: byte_bpe(prefix_space=True),
}
