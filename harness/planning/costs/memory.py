"""Memory of a stage at its worst moment, part by part: what a device must have to train, predict or answer.

    parts = training_memory(shape, TrainingLoad(...), layout=Layout(sharding="full", processes=4))
    parts.total, parts.on_host

Bytes of one device.  Trained weights are fp32, as are gradients and AdamW's two moments: 4 + 4 + 8 bytes a parameter
(Rajbhandari et al. 2020, arXiv 1910.02054).  8-bit AdamW keeps a byte a moment and a scale for each 256 (Dettmers et al. 2022,
arXiv 2110.02861), NF4 half a byte a weight and a scale for each 64 (Dettmers et al. 2023, arXiv 2305.14314).
Sharded whole (ZeRO-3, FSDP2) each of n processes holds an n-th of these, and gathers the layers it computes.
"""

from dataclasses import dataclass, fields, replace
from typing import Literal

from harness.planning.costs.activations import BYTES, HowTrained, activation_bytes, copies_of_weights, layer_bytes, makes_scores
from harness.planning.costs.shapes import ModelShape

MIB = 1 << 20
ADAMW, ADAMW_8BIT = 8.0, 2.0 + 2 * 4 / 256
"Bytes of both moments of a parameter."
BASE_BYTES = {"nf4": 0.5 + 4 / 64, "int8": 1.0, "float32": 4.0, "bfloat16": 2.0, "float16": 2.0}
"Bytes of a weight of a linear layer that is not trained."
ON_CPU = 30 * MIB
"Rows, tokenizer, buffers of the matrix library; measured."
HEAP_TOP = 64 * MIB
"What glibc leaves at the top of its heap after many blocks: twice its mmap threshold, which grows to 32 MiB (mallopt(3))."
ON_GPU = 700 * MIB
"CUDA's context and libraries, cuBLAS's workspaces: an assumption, not measured."
PIECES = 0.25
"""Share of the activations, and of the gradients of layers, that lies in pieces between other blocks.  On CPUs blocks below
32 MiB come from a heap that is not given back; measured by benchmarks/plan_accuracy.py."""
GPU_PIECES = 0.1
"The same of CUDA's caching allocator, an assumption."
UNGATED = ("bert", "bert-pre", "rembert", "deberta", "xglm", "bloom")
"Families whose feed-forward part has no gate."
UNTURNED = (*UNGATED, "mt5")
"Families whose queries and keys are not turned by their positions, and have as many heads of keys as of queries."
LOGITS_AT_ONCE = 1 << 25
"Numbers in one piece of logits at inference: models/inference/language_model.py."


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How a stage lies on its devices."""

    processes: int = 1
    sharding: Literal["none", "full"] = "none"
    offload: Literal["none", "cpu"] = "none"

    @property
    def shares_model(self) -> bool:
        """What Machine.shares_model says there."""
        return self.processes > 1 or self.offload == "cpu"

    @property
    def share(self) -> float:
        """Share of weights, gradients and moments that one process holds."""
        return 1 / self.processes if self.sharding == "full" else 1.0


@dataclass(frozen=True, kw_only=True)
class MemoryParts:
    """Bytes by part, of one device."""

    weights: int = 0
    gradients: int = 0
    optimizer: int = 0
    activations: int = 0
    kv_cache: int = 0
    logits: int = 0
    workspace: int = 0
    apart: int = 0
    "What of these is never there at the same time as the rest: in a batch of one pass gradients come as activations go."
    on_host: int = 0
    "Bytes of main memory for what is offloaded, beside the device."

    @property
    def total(self) -> int:
        """Bytes that the device must have."""
        return sum(getattr(self, part) for part in PARTS) - self.apart

    def json(self) -> dict[str, int]:
        """Bytes by part, and in all."""
        return {each.name: getattr(self, each.name) for each in fields(self)} | {"total": self.total}


PARTS = ("weights", "gradients", "optimizer", "activations", "kv_cache", "logits", "workspace")


@dataclass(frozen=True, kw_only=True)
class TrainingLoad:
    """What a training does to a device."""

    how: HowTrained
    length: int
    "Tokens of the longest sequence."
    sequences: int
    "Of a forward pass."
    passes: int = 1
    "Of a step: more than one add up their gradients."
    optimizer: str = "adamw"
    frozen_tables: bool = False
    lora_parameters: int = 0
    "Trained in place of the weights; 0 = all are trained."
    base: str = "float32"
    "What a frozen base is kept in: float32, bfloat16, nf4, int8."
    logits: int = 0
    "Numbers of the logits of a pass over a vocabulary; small heads count nothing."
    word_rows: int | None = None
    "Rows of the table of words that are trained, as a table of their own; None = the whole table (harness/runtime/word_rows.py)."

    def idle(self, shape: ModelShape) -> int:
        """Parameters of the table of words that have neither gradient nor moments, because no row of the data looks them up."""
        return 0 if self.word_rows is None else (shape.vocab - self.word_rows) * shape.words_width

    def trained(self, shape: ModelShape) -> int:
        """Parameters with gradient and moments."""
        return self.lora_parameters or shape.parameters - (shape.tables if self.frozen_tables else self.idle(shape))

    @property
    def tokens(self) -> int:
        """Tokens of a pass."""
        return self.length * self.sequences


def training_memory(shape: ModelShape, load: TrainingLoad, *, layout: Layout) -> MemoryParts:
    """Parts of a training: the states it holds, what a pass keeps, and what is needed beside these."""
    if load.lora_parameters or layout.shares_model:
        load = replace(load, word_rows=None)
    how, share = load.how, layout.share
    trained = load.trained(shape)
    per_parameter = ADAMW_8BIT if load.optimizer == "adamw_8bit" else ADAMW
    states = _states(shape, load, trained=trained)
    weights, gradients, optimizer = (int(size * share) for size in (states, 4 * trained, per_parameter * trained))
    kept = activation_bytes(shape, how, tokens=load.tokens, length=load.length)
    copies = copies_of_weights(shape, how) if layout.sharding == "none" else 0
    activations = kept + copies
    if how.checkpointing:  # autocast drops its copies at the end of the forward pass; then layers are computed again
        activations = max(kept, kept - layer_bytes(shape, how, tokens=load.tokens, length=load.length) + copies)
    logits = load.logits * (4 * 3 + BYTES[how.precision])  # as they come, in fp32, their log-probabilities and gradient
    beside = _beside(shape, load, layout, kept=kept)
    on_host = 0
    if layout.offload == "cpu":
        on_host = weights + gradients + optimizer
        weights = gradients = optimizer = 0
    elif load.word_rows is not None:
        table = 4 * shape.vocab * shape.words_width
        if how.on_gpu:  # the whole table waits there, and is made anew for a checkpoint
            on_host, weights = 2 * table, weights - table
        else:
            # A checkpoint is written where there are no gradients, but the heap keeps their room, and half of it once more in
            # pieces; measured by benchmarks/plan_accuracy.py.
            written = table + 6 * shape.in_matrices + ON_CPU + HEAP_TOP
            beside = max(beside, written - gradients - activations - logits)
    apart = 0
    if load.passes == 1:  # nothing is added to: gradients come as activations go
        largest = 4 * _largest(shape, load) if trained > _largest(shape, load) else 0
        apart = min(gradients + largest, activations + logits) - int(PIECES * activations)
    return MemoryParts(
        weights=weights,
        gradients=gradients,
        optimizer=optimizer,
        activations=activations,
        logits=logits,
        workspace=beside,
        apart=max(0, apart),
        on_host=on_host,
    )


def _largest(shape: ModelShape, load: TrainingLoad) -> int:
    """Numbers of the largest gradient."""
    if load.word_rows is None:
        return shape.largest
    return max(load.word_rows * shape.words_width, shape.outputs, shape.hidden * shape.intermediate)


def _states(shape: ModelShape, load: TrainingLoad, *, trained: int) -> int:
    """Bytes of the weights themselves: fp32 where they are trained."""
    if not load.lora_parameters:
        return 4 * (shape.parameters + (load.word_rows or 0) * shape.words_width)
    plain = BASE_BYTES[load.base if load.base in ("float32", "bfloat16", "float16") else load.how.precision]
    base = BASE_BYTES[load.base] * shape.in_matrices + plain * (shape.parameters - shape.in_matrices)
    return int(base + 4 * trained)


def _beside(shape: ModelShape, load: TrainingLoad, layout: Layout, *, kept: int) -> int:
    """Workspace of a training (own derivation).

    The gradients of one layer as it goes backwards; the largest gradient once more, as it is made before it is added; what lies
    in pieces; what is always there; and of a sharded training the weights of two layers and of the tables, gathered in the
    precision that is computed in, with one layer's gradients in fp32.
    """
    how = load.how
    layer = layer_bytes(shape, how, tokens=load.tokens, length=load.length)
    trains_tables = not load.lora_parameters and not load.frozen_tables
    largest = 4 * (_largest(shape, load) if trains_tables else 0 if load.lora_parameters else shape.hidden * shape.intermediate)
    small = 4 * (load.lora_parameters or shape.in_matrices) * layout.share
    found = layer + largest + int(GPU_PIECES * kept if how.on_gpu else PIECES * (kept + small))
    found += ON_GPU if how.on_gpu else ON_CPU + HEAP_TOP
    if layout.sharding == "full" and (layout.processes > 1 or layout.offload == "cpu"):
        one = shape.matrices_per_layer + shape.vectors_per_layer
        gathered = BYTES[how.precision] * (2 * one + shape.tables + shape.outputs)
        found += gathered + 4 * one + (0 if largest == 0 else 4 * shape.tables - largest)
    return found


@dataclass(frozen=True, kw_only=True)
class AnswerLoad:
    """What a prediction does to a device."""

    precision: Literal["float32", "bfloat16", "float16"] = "bfloat16"
    attention: str = "sdpa"
    on_gpu: bool = False
    length: int = 128
    sequences: int = 1
    base: str = ""
    "What the weights of linear layers are kept in, where that is not the precision: nf4, int8."
    asks: str = ""
    "loglikelihood or generate: a language model is asked in words, and keeps keys and values."
    kept_tokens: int = 0
    "Tokens of which keys and values are kept."
    read: int = 0
    "Places whose logits are read at a time."


def answer_memory(shape: ModelShape, load: AnswerLoad) -> MemoryParts:
    """Parts of a prediction; batches of a pass are `sequences` of `length` tokens.

    A layer holds what comes in and its norm, then queries, keys, values and what attention gives (turned by their positions and
    repeated for all heads beside that), or the feed-forward part's inner values before and after their activation (with a gate
    three times): own derivation.  On a CPU the heap keeps the room of both, which are of other sizes.
    """
    size, tokens = BYTES[load.precision], load.length * load.sequences
    plain = size * shape.parameters
    weights = (
        plain if not load.base else int(BASE_BYTES[load.base] * shape.in_matrices + size * (shape.parameters - shape.in_matrices))
    )
    how = HowTrained(precision=load.precision, attention=load.attention, on_gpu=load.on_gpu)
    attention = (4 if shape.family in UNTURNED else 6) * shape.query_width
    if makes_scores(shape, how, training=False):
        attention += 3 * shape.heads * load.length
    inner = (2 if shape.family in UNGATED else 3) * shape.intermediate
    activations = size * tokens * (2 * shape.hidden + (max(attention, inner) if load.on_gpu else attention + inner))
    cache = size * 2 * shape.layers * shape.key_width * load.kept_tokens if load.asks else 0
    numbers = min(LOGITS_AT_ONCE, load.read * shape.vocab) if load.asks else 0
    # As they come, in fp32, and their log-probabilities.
    logits = numbers * (size + 4 * (2 if load.asks == "loglikelihood" else 1))
    pieces = int(GPU_PIECES * (activations + cache)) if load.on_gpu else 0
    return MemoryParts(
        weights=weights,
        activations=activations,
        kv_cache=cache,
        logits=logits,
        workspace=pieces + (ON_GPU if load.on_gpu else ON_CPU + min(HEAP_TOP, activations)),
    )
