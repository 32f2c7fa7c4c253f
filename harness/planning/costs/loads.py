"""What stages do to a device: their arguments as loads of memory and of arithmetic.

loads = Loads(plan=plan, shape=shape, device=device, machine=machine, layout=layout)
loads.training(stage), loads.prediction(stage)         # a StageLoad each
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

from harness.api.registry import TASK_TYPES
from harness.planning.costs.activations import HowTrained, is_packed
from harness.planning.costs.devices import Device
from harness.planning.costs.flops import PassLoad, packed, padded
from harness.planning.costs.lengths import RowLengths, TokenLengths, tokenizer_file
from harness.planning.costs.memory import AnswerLoad, Layout, TrainingLoad
from harness.planning.costs.rows import num_test_rows, num_training_rows, training_cost
from harness.planning.costs.shapes import ModelShape
from harness.planning.plan import Plan
from harness.planning.routes import written_tokens
from harness.runtime.arguments import ComponentArguments, ModelArguments, PredictArguments, TrainArguments
from harness.runtime.budget import device_tokens
from harness.runtime.machine import CPU_PREDICT_TOKENS, CPU_TRAIN_TOKENS, Machine
from harness.runtime.stages import Stage
from harness.runtime.word_rows import takes_part
from harness.specs.limit import num_taken
from harness.specs.prompt import PromptArgs
from harness.specs.recipe import Training
from harness.specs.task import TaskSpec

MASKED = 0.15
"Share of the tokens whose words a masked_lm head predicts, where its options do not say."
ANSWER_SHARE = 0.05
"Share of a prompt with its answer that the answer is, in training."
ANSWER_TOKENS = 4
"Tokens of an answer in words, where nothing is known of it."
WORDS_OF_A_LANGUAGE = 0.2
"Share of a vocabulary that the training rows of one language look up, where they are not here: an assumption."
SIMULATED = 16
"Batches that are made of sampled lengths, to see how much they are padded."
LORA_MATRICES = 7
"Linear layers of a layer that `all-linear` means, in Llama's kin."


class StageLoad(NamedTuple):
    """What a stage does to a device."""

    memory: TrainingLoad | AnswerLoad
    "With the batches that the machine takes."
    least: TrainingLoad | AnswerLoad
    "With the smallest that there can be."
    batch: PassLoad | None
    "All that it computes; None where its rows are not here."
    steps: float
    "Optimizer steps; 0 of predictions."
    written: float
    "Tokens that are written one after another: passes over one token a row."
    is_measured: bool
    "Whether lengths were counted in rows."


@dataclass(kw_only=True)
class Loads:
    """The loads of the stages of a plan."""

    plan: Plan
    shape: ModelShape
    device: Device
    machine: Machine
    layout: Layout
    counts: bool = True
    "False: no rows are read, and every text has max_length; there is no arithmetic then, but what must fit is known."

    @cached_property
    def lengths(self) -> TokenLengths:
        """Counts tokens."""
        arguments = self.plan.backbone.arguments
        identity = str(arguments.tokenizer or arguments.fingerprint or "")
        return TokenLengths(
            machine=self.machine, file=tokenizer_file(self.plan.backbone) if self.counts else None, identity=identity
        )

    @property
    def on_gpu(self) -> bool:
        """Whether the device has memory of its own."""
        return self.device.spec.kind == "gpu"

    def budget(self, weights: float, *, train: bool) -> int:
        """Tokens of a pass, as Machine.tokens chooses them on that device."""
        if self.machine.batch_tokens:
            return self.machine.batch_tokens
        if not self.on_gpu:
            return CPU_TRAIN_TOKENS if train else CPU_PREDICT_TOKENS
        return device_tokens(self.device.memory, weights=int(weights), train=train)

    def training(self, stage: Stage[TrainArguments]) -> StageLoad:
        """Load of a training: that of its largest component, all their steps."""
        args, training = stage.args, stage.args.hyper_parameters
        words = self._word_rows(args)
        parts = [self._component(component, args, training, word_rows=words) for component in args.tasks]
        largest = max(parts, key=lambda part: (part.memory.length * part.memory.sequences, _numbers(part.memory)))
        if not self.counts:
            return largest._replace(batch=None, steps=0.0)
        cost = training_cost(args, self.machine)
        if cost.steps is None or any(part.batch is None for part in parts):
            return largest._replace(batch=None, steps=0.0)
        shares = cost.rates or {args.tasks[0].task: 1.0}
        batches = [
            part.batch.times(cost.steps * shares.get(component.task, 1 / len(parts)))
            for component, part in zip(args.tasks, parts, strict=True)
            if part.batch is not None
        ]
        total = PassLoad(*(sum(values) for values in zip(*batches, strict=True)))
        return largest._replace(batch=total, steps=float(cost.steps), is_measured=all(part.is_measured for part in parts))

    def _component(
        self, component: ComponentArguments, args: TrainArguments, training: Training, *, word_rows: int | None
    ) -> StageLoad:
        """Load of one step on the rows of a component."""
        spec = component.task_spec
        found = [
            self.lengths.of(component, "train", lang, options=component.options, prompt=component.prompt)
            for lang in component.data
        ]
        own = RowLengths(
            tuple(length for one in found for length in one.lengths),
            sum(one.per_row for one in found) / max(1, len(found)),
            all(one.is_measured for one in found),
        )
        length = own.longest
        module = TASK_TYPES.load(spec.type)
        group = max(1, round(own.per_row)) if module.ONE_PASS_PER_EXAMPLE else 1
        items = component.batch_size(training) * (own.per_row if module.EXAMPLES_ARE_ITEMS else 1.0)
        how = self.how(args.model, training)
        budget = max(length * group, self.budget(self._model_bytes(how, args.model), train=True))
        of_one = max(1, round(items / self.ranks))
        sequences = max(group, min(of_one, budget // length // group * group))
        load = TrainingLoad(
            how=how,
            length=length,
            sequences=sequences,
            passes=-(-of_one // sequences),
            optimizer=training.optimizer,
            frozen_tables=training.freeze == "embeddings",
            lora_parameters=lora_parameters(self.shape, args.model),
            base=base_of(args.model, how.precision),
            logits=self._logits(component, sequences * length),
            word_rows=word_rows,
        )
        least = replace(load, sequences=group, passes=max(2, round(items)), logits=self._logits(component, group * length))
        drawn = _drawn(own, number=max(1, round(items)))
        reads = _read_share(component) * sum(map(sum, drawn)) / len(drawn)
        made = packed if is_packed(self.shape, how) else padded
        batches = [made(one, max_tokens=budget, reads=reads) for one in drawn]
        batch = PassLoad(*(sum(values) / len(batches) for values in zip(*batches, strict=True)))
        return StageLoad(load, least, batch, 1.0, 0.0, own.is_measured)

    def _word_rows(self, args: TrainArguments) -> int | None:
        """Rows of the table of words that a training looks up, where it trains these alone.

        Development rows, which are few, are not counted apart.  Of components, which are English mostly, the largest counts.
        """
        in_words = any(component.prompt is not None or component.task_spec.type == "masked_lm" for component in args.tasks)
        training, shape = args.hyper_parameters, self.shape
        if self.layout.shares_model or in_words or lora_parameters(shape, args.model) or training.freeze == "embeddings":
            return None
        if self.device.dtype(training.precision) == "float16":
            return None
        used = max(self._words_of(component, training) for component in args.tasks)
        return int(used) if takes_part(vocabulary=shape.vocab, width=shape.words_width, used=used) else None

    def _words_of(self, component: ComponentArguments, training: Training) -> float:
        """Different tokens in the rows of a component, at most those that there are."""
        rows = num_training_rows(component, training, self.machine) if self.counts else None
        own = rows and -(-rows // len(component.data))
        used = 0.0
        for lang in component.data:
            found = self.lengths.of(component, "train", lang, options=component.options, prompt=component.prompt)
            used += found.words_of(own) if own and found.is_measured else WORDS_OF_A_LANGUAGE * self.shape.vocab
        return min(used, float(self.shape.vocab))

    @property
    def ranks(self) -> int:
        """Processes that share the features of a step."""
        return self.layout.processes

    def how(self, model: ModelArguments, training: Training) -> HowTrained:
        """What decides what a training pass keeps."""
        precision: Any = self.device.dtype(training.precision)
        return HowTrained(
            precision=precision,
            attention=model.attn_implementation,
            checkpointing=training.gradient_checkpointing,
            on_gpu=self.on_gpu,
            whole=not lora_parameters(self.shape, model),
        )

    def _model_bytes(self, how: HowTrained, model: ModelArguments) -> float:
        """Bytes of the weights as a machine sees them when it chooses batches."""
        return (4 if how.whole or how.precision == "float32" else 2) * self.shape.parameters * self.layout.share

    def _logits(self, component: ComponentArguments, tokens: int) -> int:
        """Numbers of the logits over the vocabulary of so many tokens."""
        return int(_read_share(component) * tokens * self.shape.vocab)

    def prediction(self, stage: Stage[PredictArguments]) -> StageLoad:
        """Load of the predictions of a task in a language."""
        args = stage.args
        found = self.lengths.of(args.rows, "test", args.lang, options=args.options, prompt=args.prompt)
        spec = args.task_spec
        asks = (spec.asks or "") if args.prompt is not None else ""
        written = written_tokens(PromptArgs.model_validate(args.prompt), spec) if args.prompt is not None else 0
        precision: Any = self.device.dtype(args.model.dtype)
        weights = (4 if precision == "float32" else 2) * self.shape.parameters
        budget = self.budget(weights, train=False)
        rows = num_test_rows(stage, self.machine) if self.counts else None
        if rows is not None and args.limit:
            rows = num_taken(args.limit, of=rows)
        length = found.longest
        features = max(1, round((rows or 1 << 30) * found.per_row))
        sequences = max(1, min(features, budget // (length + (ANSWER_TOKENS if asks and not written else 0) or 1)))
        keeps = asks == "generate" or (asks and _has_long_answers(spec))
        load = AnswerLoad(
            precision=precision,
            attention=args.model.attn_implementation,
            on_gpu=self.on_gpu,
            length=length,
            sequences=sequences,
            base=str(args.model.extra.get("quantization") or ""),
            asks=asks,
            kept_tokens=sequences * (length + written) if keeps else 0,
            read=sequences * (1 if written or not keeps else ANSWER_TOKENS),
        )
        least = replace(load, sequences=1, kept_tokens=load.kept_tokens // sequences, read=load.read // sequences)
        batch = None
        if rows is not None:
            one = padded(found.lengths, max_tokens=budget)
            batch = one.times(features / len(found.lengths))
            batch = batch._replace(passes=max(1.0, batch.passes), reads=features * (written or ANSWER_TOKENS) if asks else 0.0)
        return StageLoad(load, least, batch, 0.0, float(written), found.is_measured)


def _read_share(component: ComponentArguments) -> float:
    """Share of the tokens after which a word of the vocabulary is predicted in training."""
    if component.task_spec.type == "masked_lm":
        return float(component.options.get("mask_probability", MASKED))
    return 0.0 if component.prompt is None else ANSWER_SHARE


def _numbers(load: TrainingLoad | AnswerLoad) -> int:
    return load.logits if isinstance(load, TrainingLoad) else load.read


def _drawn(found: RowLengths, *, number: int) -> list[list[int]]:
    """Batches of sampled lengths: every k-th of them in order, from another beginning each."""
    lengths = found.lengths
    if len(lengths) == 1:
        return [[lengths[0]] * number]
    stride = max(1, len(lengths) // number)
    return [[lengths[(start + at * stride) % len(lengths)] for at in range(number)] for start in range(min(SIMULATED, stride))]


def _has_long_answers(spec: TaskSpec) -> bool:
    """Whether answers that are compared have several words, so that keys and values of what is before them are kept."""
    answers: Any = spec.prompt.continuations if spec.prompt else None
    return not isinstance(answers, dict) or any(len(text.split()) > 1 or "{" in text for text in answers.values())


def lora_parameters(shape: ModelShape, model: ModelArguments) -> int:
    """Parameters of the low-rank adapters that are trained; 0 where the whole model is."""
    low_rank = model.extra.get("lora")
    if not low_rank:
        return 0
    hidden, queries, keys, inner = shape.hidden, shape.query_width, shape.key_width, shape.intermediate
    feed_forward = 2 if shape.matrices_per_layer < 2 * hidden * (queries + keys) + 3 * hidden * inner else 3
    widths = 2 * (hidden + queries) + 2 * (hidden + keys) + feed_forward * (hidden + inner)
    targets: Sequence[str] = low_rank.get("targets") or ("all-linear",)
    share = 1.0 if tuple(targets) == ("all-linear",) else min(1.0, len(targets) / LORA_MATRICES)
    return int(shape.layers * low_rank["rank"] * widths * share)


def base_of(model: ModelArguments, precision: str) -> str:
    """What the linear layers of a base that is not trained are kept in."""
    return str(model.extra.get("quantization") or precision)
