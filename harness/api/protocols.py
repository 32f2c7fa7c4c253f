"""What flows between the rooms: data classes of plain values, and the shape of each plug point.

    row -build-> Example -encode-> [Feature] -batching-> Batch -adapter-> [Output] -reduce-> Partial -decode-> Prediction

No module-level import of torch or numpy here: commands that need no model stay fast.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    import torch
    from transformers import PreTrainedTokenizerFast

Json: TypeAlias = Any
"A value that `json.dumps` writes and reads back unchanged."
Task: TypeAlias = Any
"A TaskSpec (harness/specs/task.py), which is above this wing."
if TYPE_CHECKING:
    Output: TypeAlias = np.ndarray
else:
    Output: TypeAlias = Any
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
    expression of all that it may write, for adapters that see to that; with 'thoughts' (thoughts.py) what comes before the
    answer; with 'sampling' (temperature, top_p, top_k, seed) tokens are drawn at random; with 'messages' the conversation, for a
    server that has a chat template of its own."""


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
    targets: torch.Tensor | None = None
    """int64 [M]: where labels [B, T] of tokens are not -100, numbered row by row; None where there are none of tokens.

    Made with the batch: a host that looks for them on a GPU waits for all that it computes."""

    def on(self, device: torch.device | str) -> Batch:
        """The batch with its tensors on a device; itself where they are there.  Nobody waits for a copy to a GPU."""
        import torch

        place = torch.device(device)
        if self.input_ids.device == place:
            return self
        tensors = {field.name: value for field in fields(self) if hasattr(value := getattr(self, field.name), "device")}
        moved: dict[str, Any] = {name: one.to(place, non_blocking=place.type == "cuda") for name, one in tensors.items()}
        return replace(self, **moved)


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
    """Where one of several labels is chosen: the log-probability of each by a head; on the prompt route the normalised
    log-likelihood of each continuation (None without tokens).  Left out of the line where there are none."""
    answer: str | None = None
    "Prompt route, where the answer is read out of what the model wrote: that text.  Left out of the line where there is none."
    thoughts: str | None = None
    "What the model wrote before its answer and nothing scores.  Left out of the line where it was not to think."


class SentPrompt(NamedTuple):
    """A request in words as a model got it, before anything was cut."""

    context: str
    continuations: tuple[str, ...]
    "What was scored behind it; empty where the model wrote what follows."


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


class PendingOutputs(NamedTuple):
    """Outputs of a batch that a device may still be computing."""

    take: Callable[[], list[Output]]
    "Gives them once they are computed; called once, in whatever thread."
    wait: Callable[[], object] | None = None
    "Returns once they are; None where nobody has to wait."

    def now(self) -> list[Output]:
        """Wait for them and take them."""
        if self.wait:
            self.wait()
        return self.take()


class Asks(Protocol):
    """How a model is asked and its answers are read: a task type with a head or vectors, and every prompt route."""

    def encode(
        self, examples: Sequence[Any], *, task: Task, tokenizer: PreTrainedTokenizerFast, options: Any, train: bool
    ) -> list[Feature]:
        """Features of a chunk of examples, ordered by (example, part).  `labels` are set wherever gold is known."""

    def reduce(self, feature: Feature, output: Output, *, task: Task, options: Any) -> Partial:
        """Keep of a feature's output what `decode` needs; deterministic, small."""

    def decode(
        self, examples: Sequence[Any], features: Sequence[Feature], partials: Sequence[Partial], *, task: Task, options: Any
    ) -> list[Prediction]:
        """Predictions of one (task, language) cell in the order of the examples; no model, no tokenizer.

        `features` here carry everything but input_ids (empty list); `partials` run parallel to them.  Vectors come as one
        array [N, D], memory-mapped, of which a type that has many reads a piece at a time.
        """

    def oracle(self, feature: Feature, example: Any, *, task: Task, options: Any) -> Output | str:
        """An Output (or a text) from which `decode` gives the gold: what the fakes put in the model's place."""


class Trains(Protocol):
    """What training needs besides."""

    def loss(self, outputs: torch.Tensor, batch: Batch, options: Any) -> torch.Tensor:
        """SUM of the loss over the batch's targets (scalar, fp32).  The training loop divides by num_targets."""

    def num_targets(self, features: Sequence[Feature]) -> int:
        """How many targets the loss of these features sums over (examples, labelled tokens, pairs)."""


class RouteDefaults:
    """What a route need not say."""

    WHOLE_BATCH_LOSS = False
    "The loss couples the examples of a recipe's batch (in-batch negatives): it is computed over all of it at once."
    EXAMPLES_ARE_ITEMS = False
    "A training item is a whole example with all its features; otherwise each feature is one, and they are shuffled apart."
    ONE_PASS_PER_EXAMPLE = False
    "The loss sets the features of an example against each other: they share a forward pass in training."
    BOTH_DIRECTIONS = False
    "Its training hides words: a causal model has to attend in both directions for it."
    CALIBRATES = False
    "`decode` chooses a threshold on the task's validation rows of the language, which come first: see with_calibration."
    DECODES_TOGETHER = False
    "`decode` needs all examples of a cell at once; otherwise it gets some thousands that stand one behind the other at a time."
    reduce_batch = None
    "reduce_batch(features, outputs, *, task, options) -> list[Partial]: what `reduce` keeps of each, of many at once."
    augment = None
    "augment(feature, *, rng: np.random.Generator, tokenizer, options) -> Feature: what is random anew in each epoch (masking)."

    @staticmethod
    def head(task: Task, options: Any) -> HeadSpec | None:
        """The head to train; None if training and prediction use pooled vectors, or the model's own words."""
        return None

    @staticmethod
    def pools(options: Any) -> Pooling | None:
        """How vectors are pooled; None where no vectors are asked for."""
        return None

    @staticmethod
    def with_calibration(examples: Sequence[Any], calibration: Sequence[Any], *, options: Any) -> Sequence[Any]:
        """The examples to encode: those on which a threshold is chosen first, for which `decode` predicts nothing."""
        return examples


class Adapter(Protocol):
    """An object made by `models.<name>.load(source, heads=..., keep_heads=..., device=..., seed=..., inference=...)`.

    `seed` is that of fresh heads; `keep_heads` says which are not (name -> name in the checkpoint).  Its class derives from this
    one and has what its module declares as `CAPABILITIES`: fit (Trainable), forward_head (AnswersByHead), embed (Embeds),
    loglikelihood (ScoresContinuations), generate (Writes).  What else a module may declare is at ADAPTERS in registry.py.
    """

    tokenizer: PreTrainedTokenizerFast
    max_positions: int
    "Longest input in tokens, special tokens included."
    num_embeddings: int | None = None
    "Rows of its table of words: every id lies below.  None = it has no such table."
    weight_bytes: int = 0
    "Bytes that its weights take on the device where its batches go."
    budget: int | None = None
    "Tokens that it wants in one call; None = as many as the machine takes in a forward pass."
    batch_device: str | None = None
    "Where its batches are made; None = the device that the model runs on."
    versions: Mapping[str, str] = {}
    "Of packages in another environment that it computes with: package -> version."
    placed: Mapping[str, int] = {}
    "Bytes of its weights by where they lie: a device, `cpu`, `disk`."
    is_streamed: bool = False
    "Whether weights are brought to where they are computed with for every batch: then large batches are worth their memory."
    packs: bool = False
    "Whether it computes batches that have much padding without it, so that a pass costs its tokens alone."
    is_remote: bool = False
    "A server answers, each feature by itself and in its own number format: see Remote in harness/prediction/answers.py."
    weight_facts: Mapping[str, Any] = {}
    "How its weights came about, where they are not simply those of a file: `adapters`, how many, how chained, how rounded."

    def begin(self, batch: Batch, *, head: str | None = None, pooling: Pooling | None = None) -> PendingOutputs:
        """Have a batch computed: what `forward_head` (or with `pooling` what `embed`) gives of it, perhaps only later.

        A device that computes by itself is not waited for, so that the next batch reaches it in time.
        """
        adapter: Any = self
        found: list[Output] = adapter.forward_head(batch, head) if pooling is None else adapter.embed(batch, pooling)
        return PendingOutputs(lambda: found)

    def begin_loglikelihood(self, features: Sequence[Feature], *, max_tokens: int) -> PendingOutputs:
        """What `loglikelihood` gives, perhaps only later."""
        adapter: Any = self
        found: list[Output] = adapter.loglikelihood(features, max_tokens=max_tokens)
        return PendingOutputs(lambda: found)

    def close(self) -> None:
        """End what was started for it."""
        return


class ShardedPart(NamedTuple):
    """A part of a network whose weights are gathered and let go together where it is divided among processes."""

    module: torch.nn.Module
    in_float32: bool = False
    "Computes in fp32 whatever the format of the others."


class WordTable(NamedTuple):
    """Where a network looks up the vectors of words."""

    table: torch.nn.Embedding
    ids: Sequence[int] = ()
    "What it looks up of itself, beside the ids of features."


class Trainable(Protocol):
    """Capability `fit`: it can be trained and saved."""

    module: torch.nn.Module
    """What is trained: module(batch, head=name) -> outputs with grad [B, ...]; module(batch, pooling=p) -> [B, D];
    module.units() -> [ShardedPart]: its parts from the input on; what belongs to none of them is gathered for the whole pass;
    module.word_table() -> WordTable, or None where training uses the table otherwise too: to predict words, say."""

    def read_weights(self, *, offloaded: bool = False) -> None:
        """Read what `ModelSource.empty` left unread into the parameters, however they are divided among processes by now.

        `offloaded`: parameters lie in main memory, all else on the device.
        """

    def save(self, folder: str, *, tensors: Iterable[tuple[str, torch.Tensor]] | None = None) -> None:
        """Write weights (safetensors), heads and what is needed to load them again; overwrites.

        `tensors`: those of `module.state_dict()`, whole and one after the other, where the module itself has parts of them.
        """


class AnswersByHead(Protocol):
    """Capability `forward_head`."""

    def forward_head(self, batch: Batch, head: str) -> list[Output]:
        """Outputs of the features of a batch, in order, without gradient."""


class Embeds(Protocol):
    """Capability `embed`."""

    def embed(self, batch: Batch, pooling: Pooling) -> list[Output]:
        """One vector [D] per feature, fp32."""


class ScoresContinuations(Protocol):
    """Capability `loglikelihood`."""

    def loglikelihood(self, features: Sequence[Feature], *, max_tokens: int) -> list[Output]:
        """[N, 3] per feature: of each of its continuations the sum of log-probabilities, the tokens, 1.0 if each is likeliest."""


class Writes(Protocol):
    """Capability `generate`."""

    def generate(self, features: Sequence[Feature], *, max_tokens: int) -> list[str]:
        """The text that the model writes after each feature, until its `generate` says stop."""
