"""How many tokens rows have: by a sample, where they and the model's tokenizer are here, else the most that there can be.

    lengths = TokenLengths(machine=machine, file=tokenizer_file(backbone), identity="...")
    found = lengths.of(rows, "test", "de", options=options, prompt=None)
    found.lengths, found.per_row, found.is_measured         # features of some rows, features a row

The tokenizer is read by the package `tokenizers` alone: neither torch nor transformers is imported.  What was counted is kept in
the user's cache folder, by the fingerprints of rows and tokenizer.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from harness.api.cache import cache_folder, recall, remember
from harness.api.errors import UserError
from harness.api.model_files import local_folder
from harness.api.registry import TASK_TYPES
from harness.data.examples import Split, load_examples
from harness.planning.backbone.resolve import Backbone
from harness.runtime.arguments import SplitRows, file_of
from harness.runtime.machine import Machine
from harness.runtime.stages import canonical
from harness.specs.prompt import PromptArgs
from harness.specs.task import TaskSpec
from harness.task_types.prompting.route import PromptRoute
from harness.task_types.prompting.templates import wording_of

SAMPLE = 200
"Rows of a split and language whose tokens are counted."
DEFAULT_LENGTH = 512
"Tokens where neither rows nor options say anything."
SIDES = ("retrieval", "bitext_mining")
"Types whose texts are features of their own."


class RowLengths(NamedTuple):
    """Tokens of the features that rows become."""

    lengths: tuple[int, ...]
    "Of the features of some rows; the most there can be, once, where nothing was counted."
    per_row: float
    "Features a row."
    is_measured: bool
    words: tuple[int, int] = (0, 0)
    "Different tokens in the first half of the rows whose tokens were counted, and in all of them."
    counted: int = 0
    "These rows."

    def words_of(self, rows: int) -> float:
        """Different tokens in so many rows: by Heaps' law, whose exponent is what the second half of the sample adds.

        The exponent falls as texts grow (Heaps 1978), so that this is rather too many than too few.
        """
        half, whole = self.words
        exponent = math.log2(whole / half) if half else 1.0
        return float(whole * (rows / self.counted) ** exponent) if rows > self.counted else float(whole)

    @property
    def longest(self) -> int:
        """Tokens of the longest."""
        return max(self.lengths)


def tokenizer_file(backbone: Backbone) -> Path | None:
    """tokenizer.json of a backbone, where its folder is on this machine."""
    knobs = backbone.knobs
    for place in (knobs.tokenizer, knobs.checkpoint, knobs.path):
        folder = local_folder(place) if place else None
        if folder and (folder / "tokenizer.json").is_file():
            return folder / "tokenizer.json"
    return None


@dataclass(kw_only=True)
class TokenLengths:
    """Counts tokens, each split and language once."""

    machine: Machine
    file: Path | None
    "tokenizer.json."
    identity: str = ""
    "Of the tokenizer and the model: their fingerprint."
    _tokenizer: Any = None
    _known: dict[str, RowLengths] = field(default_factory=dict)

    def of(
        self, rows: SplitRows, split: Split, lang: str, *, options: Mapping[str, Any], prompt: Mapping[str, Any] | None
    ) -> RowLengths:
        """Lengths of the features of a split in a language, cut as the options say."""
        spec = rows.task_spec
        longest = self._limit(spec, options, prompt)
        key = canonical(
            [rows.task, split, lang, rows.data[lang], dict(options), dict(prompt or {}), prompt is None, self.identity]
        )
        if key not in self._known:
            found = self._remembered(key, spec, split, lang, longest=longest, prompt=prompt, options=options)
            self._known[key] = found or RowLengths((longest,), _features_of(spec), is_measured=False)
        return self._known[key]

    def _limit(self, spec: TaskSpec, options: Mapping[str, Any], prompt: Mapping[str, Any] | None) -> int:
        """Tokens that a feature is cut to."""
        if prompt is not None:
            return PromptArgs.model_validate(prompt).max_length or DEFAULT_LENGTH
        settled = TASK_TYPES.load(spec.type).Options.model_validate(options)
        return getattr(settled, "max_length", None) or DEFAULT_LENGTH

    def _remembered(self, key: str, spec: TaskSpec, split: Split, lang: str, **how: Any) -> RowLengths | None:
        """Counted before, or now; None where rows or tokenizer are not here."""
        if self.file is None or not self.identity:
            return None
        store = cache_folder() / "token_counts" / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.json"
        known = recall(store)
        if "words" in known:
            words: Any = tuple(known["words"])
            return RowLengths(tuple(known["lengths"]), known["per_row"], is_measured=True, words=words, counted=known["counted"])
        texts = self._texts(spec, split, lang, prompt=how["prompt"])
        if not texts:
            return None
        ids = [self._ids(own) for own in texts]
        counts = [[*map(len, own)] for own in ids]
        words = [len({token for row in ids[:rows] for text in row for token in text}) for rows in (-(-len(ids) // 2), len(ids))]
        found = _measured(spec, counts, longest=how["longest"], options=how["options"])
        found = found._replace(words=(words[0], words[1]), counted=len(ids))
        kept = {"lengths": list(found.lengths), "per_row": found.per_row, "words": words, "counted": len(ids)}
        remember(store, kept)
        return found

    def _texts(self, spec: TaskSpec, split: Split, lang: str, *, prompt: Mapping[str, Any] | None) -> list[Sequence[str]]:
        """The texts of some rows, or their prompts; none where the rows cannot be read."""
        folder = self.machine.task_folders.get(file_of(spec.task))
        try:
            found = load_examples(spec, split=split, langs=[lang], place=self.machine.place, task_folder=folder, limit=SAMPLE)
            kind = TASK_TYPES.load(spec.type)
            examples = found.examples[:SAMPLE]
            if prompt is None or spec.prompt is None:
                return [kind.texts(example) for example in examples]
            arguments = PromptArgs.model_validate(prompt)
            wording = wording_of(spec, prompt_args=arguments, lang=lang)
            no_tokenizer: Any = None  # chat templates add a few tokens that are not counted
            plain = arguments.model_copy(update={"chat_template": False, "num_fewshot": 0})
            route = PromptRoute(module=kind, prompt_args=plain, pool=[])
            shown = [route.rendered(example, wording, task=spec, tokenizer=no_tokenizer).text for example in examples]
            return [[text] * (1 + arguments.num_fewshot) for text in shown]
        except UserError:
            return []  # said by the run itself

    def _ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text."""
        if self._tokenizer is None:
            from tokenizers import Tokenizer

            self._tokenizer = Tokenizer.from_file(str(self.file))
        return [one.ids for one in self._tokenizer.encode_batch(list(texts), add_special_tokens=False)]


def _features_of(spec: TaskSpec) -> float:
    """Features a row where none was read: one for each option of a choice, one for each side of a pair."""
    return float(len(spec.labels)) if spec.type == "multiple_choice" and spec.labels else 2.0 if spec.type in SIDES else 1.0


def _measured(spec: TaskSpec, counts: Sequence[Sequence[int]], *, longest: int, options: Mapping[str, Any]) -> RowLengths:
    """Features of rows whose texts have so many tokens, with two to four special tokens each."""
    features: list[int] = []
    for own in counts:
        if spec.type in SIDES:
            features += [count + 2 for count in own]
        elif spec.type == "multiple_choice" and len(own) > 1:
            features += [own[0] + option + 4 for option in own[1:]]
        elif spec.type == "span_qa" and sum(own) + 4 > longest:
            question, context = own[0], own[-1]
            stride = max(1, int(options.get("doc_stride", 128)))
            room = max(stride, longest - question - 4)
            features += [longest] * (1 + -(-max(0, context - room) // stride))
        else:
            features.append(sum(own) + 2 + 2 * (len(own) > 1))
    cut = tuple(sorted(min(longest, length) for length in features))
    return RowLengths(cut, len(features) / len(counts), is_measured=True)
