"""What flows between the rooms: data classes of plain values, and the shape of each plug point.

    row -build-> Example -encode-> [Feature] -batching-> Batch -adapter-> [Output] -reduce-> Partial -decode-> Prediction

No module-level import of torch here: commands that need no model stay fast.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np

if TYPE_CHECKING:
    import torch
    from pydantic import BaseModel
    from transformers import PreTrainedTokenizerFast

    from harness.specs.task import TaskSpec

Json: TypeAlias = Any
"A value that `json.dumps` writes and reads back unchanged."
Output: TypeAlias = np.ndarray
"""What an adapter gives for one feature, fp32 on the CPU, padding removed:
head `sequence` [C] logits; `choice` [] one logit; `token` [T, C] logits; `span` [T, 2] start and end logits;
`mlm`, `lm` [M, V] logits of the M positions whose label is not -100 (`lm`: the label is the token that follows);
`embed` [D] a pooled vector, not normalised;
`loglikelihood` fp64 [N, 3] for each continuation the sum of its log-probabilities, its number of tokens and 1.0 if each of them
is the likeliest one.  `generate` gives a text."""
Partial: TypeAlias = Json
"The little that `decode` needs of one Output: streamed to disk while the model runs.  Embeddings stay vectors."


class Example(Protocol):
    """What every task type's Example has; each type adds its own text fields (frozen, kw_only, slots dataclasses)."""

    @property
    def id(self) -> str:
        """Unique within (task, split, language)."""

    @property
    def lang(self) -> str:
        """ISO 639-1 code as in the language table."""

    @property
    def gold(self) -> Json:
        """The reference in label or text space; None where the row has none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Feature:
    """One sequence for the model; an example has one or several (windows, pieces, options, sides)."""

    example: int
    "Position of the example in the sequence given to `encode`."
    part: int = 0
    "Number of the feature within its example, from 0."
    input_ids: list[int]
    "Special tokens included, padding not."
    type_ids: list[int] | None = None
    "Token type ids, None for models without them."
    labels: int | list[int] | tuple[int, int] | None = None
    """Class index; a label per token (-100 = none; on the prompt route the token that follows); (start, end) token positions;
    None where the loss needs none."""
    info: Json = None
    "What `reduce` and `decode` need and the model does not (offsets, word numbers): plain data."
    num_truncated: int = 0
    "Tokens of the text cut away; what splitting or windows keep does not count."
    continuations: list[list[int]] | None = None
    "Prompt route: token ids of each continuation of input_ids whose likelihood is asked."
    generate: Mapping[str, Any] | None = None
    """Prompt route: {'max_new_tokens': int, 'stop': [texts]} where the model is to go on with input_ids; with 'regex', an
    expression of all that it may write, for adapters that see to that."""


@dataclass(kw_only=True, slots=True)
class Batch:
    """Padded tensors of some features, on the adapter's device."""

    features: Sequence[Feature]
    input_ids: torch.Tensor
    "int64 [B, T]"
    attention_mask: torch.Tensor
    "int64 [B, T], 1 = token"
    type_ids: torch.Tensor | None
    labels: torch.Tensor | None
    "int64 [B] classes, [B, T] token labels (-100 = none), [B, 2] start and end; None if no feature has labels."
    groups: torch.Tensor
    "int64 [B]: 0, 1, ... the example within the batch that each feature belongs to."


@dataclass(frozen=True, kw_only=True, slots=True)
class Prediction:
    """One line of predictions.jsonl."""

    id: str
    lang: str
    prediction: Json
    "In label or text space; None = nothing could be predicted (counted as missing, scored as wrong)."
    gold: Json
    num_truncated: int = 0
    notes: tuple[str, ...] = ()
    "Machine-readable remarks that the board counts, e.g. 'unparsed', 'answer_longer_than_limit'."
    scores: tuple[float | None, ...] | None = None
    """Prompt route, where one of several continuations is chosen: the normalised log-likelihood of each (None without tokens).
    Left out of the line where there are none."""
    answer: str | None = None
    "Prompt route, where the answer is read out of what the model wrote: that text.  Left out of the line where there is none."


@dataclass(frozen=True, kw_only=True)
class HeadSpec:
    """What a task type asks of an adapter's head."""

    kind: str
    "sequence | choice | token | span | mlm | lm: a class of models/headed/heads.py."
    num_outputs: int
    "Classes (sequence, token), 1 (choice), 2 (span); mlm and lm ignore it (vocabulary size)."


@dataclass(frozen=True, kw_only=True)
class Pooling:
    """How an `embed` adapter makes one vector of a text."""

    method: str = "mean"
    """mean | mean_no_first | first | last: over the attention mask, special tokens included; mean_no_first leaves out token 0
    (of a causal model the token that comes before a text: no word, whether or not the tokenizer puts one there)."""
    layer: float = -1
    """Index into hidden_states (0 = embeddings, negative counts from the end) if a whole number, a fraction of the depth
    if strictly between 0 and 1: layer round(fraction * num_layers), so 14/24 = 0.583 is hidden_states[14] of 24."""


class TaskType(Protocol):
    """A module of harness/task_types.  Functions, no class; torch is imported inside `loss` only."""

    ROUTES: tuple[str, ...]
    "Of 'head', 'prompt', 'embedding': the first is the default."
    NEEDS: tuple[str, ...]
    "Adapter capabilities the default route needs to predict, e.g. ('forward_head',), ('embed',)."
    FIELDS: Mapping[str, str]
    "Field name -> meaning; a name that ends in '?' is optional.  A task's `fields` maps each to a column or template."
    Options: type[BaseModel]
    "Options of the type (max_length, ...) with defaults and a docstring under each field."
    WHOLE_BATCH_LOSS: bool
    "True if the loss couples the examples of a recipe's batch (in-batch negatives)."

    def head(self, task: TaskSpec, options: Any) -> HeadSpec | None:
        """The head to train; None if training and prediction use pooled embeddings."""

    def build(self, row: Mapping[str, Any], *, task: TaskSpec, lang: str, row_id: str) -> Example | None:
        """Make an Example of the mapped fields of a row; None drops the row (e.g. label -1).

        Raises UserError (without `where`; the caller adds file and row) for values that do not fit.
        """

    def encode(
        self, examples: Sequence[Any], *, task: TaskSpec, tokenizer: PreTrainedTokenizerFast, options: Any, train: bool
    ) -> list[Feature]:
        """Features of a chunk of examples, ordered by (example, part).  `labels` are set wherever gold is known."""

    def loss(self, outputs: torch.Tensor, batch: Batch, options: Any) -> torch.Tensor:
        """SUM of the loss over the batch's targets (scalar, fp32).  The training loop divides by num_targets."""

    def num_targets(self, features: Sequence[Feature]) -> int:
        """How many targets the loss of these features sums over (examples, labelled tokens, pairs)."""

    def reduce(self, feature: Feature, output: Output, *, task: TaskSpec, options: Any) -> Partial:
        """Keep of a feature's output what `decode` needs; deterministic, small."""

    def decode(
        self, examples: Sequence[Any], features: Sequence[Feature], partials: Sequence[Partial], *, task: TaskSpec, options: Any
    ) -> list[Prediction]:
        """Predictions of one (task, language) cell in the order of the examples; no model, no tokenizer.

        `features` here carry everything but input_ids (empty list); `partials` run parallel to them.  Vectors come as one
        array [N, D], memory-mapped, of which a type that has many reads a piece at a time.
        """

    def oracle(self, feature: Feature, example: Any, *, task: TaskSpec, options: Any) -> Output:
        """An Output from which `decode` gives the gold: what the fakes put in the model's place."""

    def texts(self, example: Any) -> tuple[str, ...]:
        """The texts whose joint hash says that two rows are the same item (train/test overlap)."""

    SAMPLES: Sequence[Mapping[str, Any]]
    "A few raw rows (mapped fields) that tests run through the whole type."
    # Optional:
    #   BOTH_DIRECTIONS = True    its training hides words: a causal model has to attend in both directions for it,
    #   GROUPED = True        the loss sets the features of an example against each other: they share a forward pass in training,
    #   FIXED_OPTIONS = (..)  names of options that only a task may set, no recipe, preset or --model_args,
    #   CALIBRATES = True     decode chooses a threshold on the task's validation rows of the language, which come first,
    #   augment(feature, *, rng: np.random.Generator, tokenizer, options) -> Feature   per-epoch randomness (masking),
    #   pools(options) -> Pooling | None      embedding route: how to pool,
    #   plan_note(task, *, dimension, limit) -> str      a sentence for `plan`, where the type has needs of its own.
    #   documents(rows, *, task, lang, split, place, task_folder) -> examples      of all rows of a source at once, for types that
    #       map no fields; with sample_key(task) -> str, by which a limit draws them (the task's name otherwise),
    #   prompt_route(*, task, settings, pool, machine, max_positions)      a prompt route of its own (see task_types/prompting).
    #   CALIBRATES = True and with_calibration(examples, calibration, *, options) -> examples to encode: types that choose a
    #       threshold on validation rows of the test language: those that serve come first, and decode predicts nothing for them.


class Metric(Protocol):
    """A module of harness/scoring/metrics."""

    KEYS: tuple[str, ...]
    "Names of the numbers it gives, the main one first, e.g. ('f1', 'precision', 'recall')."
    SIGNATURE: str
    "What exactly is computed and which script it equals, e.g. 'chunk_f1|seqeval:0.0.12|xtreme:838c13b'."
    GOLDEN: Sequence[Mapping[str, Any]]
    "Cases computed by the official script: {name, predictions, golds, lang, scores: {key: value}}."

    def stats(self, prediction: Json, gold: Json, *, lang: str) -> Sequence[float]:
        """Additive statistics of one example (fixed length)."""

    def combine(self, totals: np.ndarray) -> dict[str, np.ndarray]:
        """Scores (0-100) from summed statistics; totals [..., K] -> {key: [...]}: leading axes are bootstrap samples."""

    # Optional:
    #   settle(predictions, golds, *, lang) -> Json mapping   what only the whole set can tell (squad_v2's thresholds): `stats`
    #       then takes it as `settings`, score.json keeps it, and bootstrap samples take it as given.


@dataclass(frozen=True, kw_only=True)
class ModelSource:
    """Where an adapter loads from: everything a stage knows of a model."""

    path: str
    "Hub id or local folder of the backbone."
    revision: str | None = None
    adapter: str = "encoder"
    dtype: str = "auto"
    """float32 | bfloat16 | float16 | auto (bfloat16 where the hardware has it) for inference, and for what LoRA leaves as it is;
    what is trained is fp32."""
    attn_implementation: str = "sdpa"
    device_map: str | None = None
    checkpoint: str | None = None
    "Folder of one of our checkpoints whose backbone weights (and heads, if asked) replace those of `path`."
    tokenizer: str | None = None
    "Folder or id of the tokenizer where it is not that of `path`."
    trust_remote_code: bool = False
    extra: Mapping[str, Any] = field(default_factory=dict)
    "Adapter-specific keys of the preset (e.g. tokenizer_class, encoder_half)."


class Adapter(Protocol):
    """An object made by `models.<name>.load(source, heads=..., fresh_heads=..., device=...)`.

    A module of models/ also has, as literals at its top: `CAPABILITIES`, of 'fit', 'forward_head', 'embed',
    'loglikelihood', 'generate'.
    """

    module: torch.nn.Module
    "What is trained: module(batch, head=name) -> outputs with grad [B, ...]; module(batch, pooling=p) -> [B, D]."
    tokenizer: PreTrainedTokenizerFast
    max_positions: int
    "Longest input in tokens, special tokens included."

    def forward_head(self, batch: Batch, head: str) -> list[Output]:
        """Outputs of the features of a batch, in order, without gradient."""

    def embed(self, batch: Batch, pooling: Pooling) -> list[Output]:
        """One vector [D] per feature, fp32."""

    # Optional:
    #   loglikelihood(features, *, max_tokens) -> list[Output]     of features with continuations,
    #   generate(features, *, max_tokens) -> list[str]             of features that say what to generate.

    def save(self, folder: str) -> None:
        """Write weights (safetensors), heads and what is needed to load them again; overwrites."""

    def sizes(self) -> dict[str, int]:
        """{'parameters', 'non_embedding_parameters', 'layers', 'hidden_size'} of the backbone without heads."""
