"""Adapter for checkpoints fine-tuned elsewhere: AutoModelFor{Sequence,Token}Classification, QuestionAnswering, MultipleChoice.

    source = ModelSource(path="org/xlm-roberta-large-xnli", adapter="finetuned",
                         head_labels={"xnli": ("entailment", "neutral", "contradiction")})
    model = load(source, heads={"xnli": HeadSpec(kind="sequence", num_outputs=3)}, device="cpu", seed=0, inference=True)

Its one head serves every head name asked for.  The model's labels are matched to the task's by name, case aside, and its logits
put in the task's order (`head_labels`, for heads of the kinds sequence and token).  With `ModelSource.peft` the head is
one that an adapter of peft brings (`modules_to_save`), on the backbone of `path` with the adapter merged.  Keys of
`ModelSource.extra`:
    labels          `a|b|c`: names of the model's outputs in their order, for checkpoints that say LABEL_0, LABEL_1 (--model_args)
    ignore_labels   `x|y`: labels of the model that may never be predicted, because the task does not have them (--model_args)
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    AutoModelForMultipleChoice,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from harness.api.errors import UserError, did_you_mean
from harness.api.model_files import read_model_json
from harness.api.model_source import ModelSource
from harness.api.protocols import Adapter, Batch, HeadSpec, Output, PendingOutputs, Pooling
from models.headed.network import bytes_of_weights
from models.loading.files import locate
from models.loading.placement import bytes_by_place, first_device, is_offloaded
from models.loading.pretrained import (
    TensorNames,
    accepts_type_ids,
    choose_dtype,
    input_embeddings,
    load_config,
    load_model,
    model_inputs,
    pending_outputs,
    position_limit,
)
from models.loading.tokenizer import load_tokenizer
from models.low_rank.files import CONFIG_FILE
from models.low_rank.foreign import adopt_adapter, brought_modules, num_labels
from models.low_rank.merging import merge_adapters

CAPABILITIES = ("forward_head",)
ARGUMENTS = ("quantization",)
"Keys of --model_args that this adapter knows beyond those of all."

CLASSES: dict[str, tuple[str, Any]] = {
    "sequence": ("ForSequenceClassification", AutoModelForSequenceClassification),
    "token": ("ForTokenClassification", AutoModelForTokenClassification),
    "span": ("ForQuestionAnswering", AutoModelForQuestionAnswering),
    "choice": ("ForMultipleChoice", AutoModelForMultipleChoice),
}
"Head kind -> how the names of such classes end, and the class that finds them."
TASK_TYPES = {"SEQ_CLS": "sequence", "TOKEN_CLS": "token", "QUESTION_ANS": "span"}
"Of adapters of peft: the kind of the head that they bring."
UNLABELLED = ("span", "choice")
"Kinds whose outputs are not the task's labels."


class FinetunedNetwork(nn.Module):
    """A transformers model with its own head, its logits in the order of the task's labels."""

    def __init__(self, model: PreTrainedModel, orders: Mapping[str, Sequence[int]], *, kind: str, type_ids: bool) -> None:
        """Takes for each head name the model's output index of each task label (empty for span and choice heads)."""
        super().__init__()
        self.model = model
        self.kind = kind
        self.orders = {name: torch.tensor(order, dtype=torch.long) for name, order in orders.items()}
        self.type_ids = type_ids

    def forward(self, batch: Batch, *, head: str | None = None, pooling: Pooling | None = None) -> Tensor:
        """Logits [B, C], [B, T, C], [B, T, 2] or [B]; there is no pooling here."""
        if head is None or pooling is not None:
            raise ValueError("a fine-tuned checkpoint answers through its head only")
        inputs = model_inputs(batch, type_ids=self.type_ids)
        if self.kind == "choice":  # such models take [examples, options, T]; here each feature is an option by itself
            return self.model(**{name: value[:, None] for name, value in inputs.items()}).logits[:, 0]
        outputs = self.model(**inputs)
        if self.kind == "span":
            return torch.stack((outputs.start_logits, outputs.end_logits), dim=-1)
        return outputs.logits.index_select(-1, self.orders[head].to(outputs.logits.device))


class Finetuned(Adapter):
    """The adapter: see `Adapter` in harness/api/protocols.py."""

    def __init__(
        self,
        module: FinetunedNetwork,
        tokenizer: PreTrainedTokenizerFast,
        *,
        heads: Mapping[str, HeadSpec],
        device: torch.device,
        weight_facts: Mapping[str, Any],
    ) -> None:
        """Takes the loaded parts; `device` is where batches go."""
        self.weight_facts = weight_facts
        self.module = module
        self.tokenizer = tokenizer
        self.heads = dict(heads)
        self.device = device
        self.batch_device = str(device)
        self.max_positions = position_limit(module.model)
        self.num_embeddings = input_embeddings(module.model).num_embeddings
        self.weight_bytes = bytes_of_weights(module, device)
        self.placed, self.is_streamed = bytes_by_place(module.model), is_offloaded(module.model)

    def forward_head(self, batch: Batch, head: str) -> list[Output]:
        """Outputs of the features of a batch, in order, without gradient."""
        return self.begin(batch, head=head).now()

    def begin(self, batch: Batch, *, head: str | None = None, pooling: Pooling | None = None) -> PendingOutputs:
        """Outputs of a head that a GPU need not have computed yet."""
        assert head is not None, "it gives no vectors"
        with torch.no_grad():
            outputs = self.module(batch.on(self.device), head=head)
        return pending_outputs(outputs, batch, kind=self.heads[head].kind, where=f"head '{head}'")


def load(
    source: ModelSource,
    *,
    heads: Mapping[str, HeadSpec],
    keep_heads: Mapping[str, str] | None = None,
    device: str,
    seed: int,
    inference: bool,
) -> Finetuned:
    """Load a fine-tuned checkpoint for prediction; `keep_heads` and `seed` change nothing, for no head here is ever fresh.

    Raises UserError if it is asked to train, if the head is not of the kind that the task needs, or if labels do not match.
    """
    if not inference:
        raise UserError(
            "adapter 'finetuned' cannot be trained", expected="--no_train", todo="or use the adapter 'encoder' to train further"
        )
    folder = locate(source.path, revision=source.revision, remote_code=source.trust_remote_code)
    config = load_config(folder, source)
    peft = Path(source.peft).expanduser() if source.peft else None
    if peft:
        config = _with_head_of(peft, config)
    kind = _kind(config, heads, folder)
    orders = {
        name: [] if kind in UNLABELLED else _label_order(name, spec, config=config, source=source) for name, spec in heads.items()
    }
    dtype = choose_dtype(source.dtype, device=device, inference=True)
    finder = CLASSES[kind][1]
    model_class = finder._model_mapping.get(type(config), finder)
    brought = TensorNames(brought=brought_modules(peft)) if peft else None
    model = load_model(model_class, folder, config=config, source=source, dtype=dtype, device=device, tensors=brought)
    facts = {}
    if peft:
        facts = {"adapters": {"adapters": 1, "rounding": merge_adapters(model, [adopt_adapter(peft, model)]).facts()}}
    embeddings = input_embeddings(model)
    tokenizer = load_tokenizer(folder, source, vocab_size=embeddings.num_embeddings)
    network = FinetunedNetwork(model, orders, kind=kind, type_ids=accepts_type_ids(model, tokenizer)).eval().requires_grad_(False)
    return Finetuned(network, tokenizer, heads=heads, device=first_device(model), weight_facts=facts)


def _with_head_of(peft: Path, config: PretrainedConfig) -> PretrainedConfig:
    """The configuration of a base with the head that an adapter of peft brings; UserError where it brings none."""
    said = read_model_json(peft / CONFIG_FILE).get("task_type")
    ending = CLASSES[TASK_TYPES[said]][0] if said in TASK_TYPES else None
    outputs = num_labels(peft)
    if ending is None or outputs is None:
        expected = "task_type " + ", ".join(TASK_TYPES) + ", with its head among modules_to_save"
        raise UserError("this adapter has no head that can be asked", where=str(peft / CONFIG_FILE), expected=expected)
    if outputs != config.num_labels:
        config.num_labels = outputs  # transformers names them LABEL_0, LABEL_1 then
    config.architectures = [f"Model{ending}"]
    return config


def _kind(config: PretrainedConfig, heads: Mapping[str, HeadSpec], folder: Path) -> str:
    """Head kind of the checkpoint by the class it was saved as; UserError if that is not what every task asks for."""
    saved_as = ", ".join(config.architectures or ()) or "no `architectures`"
    kind = next((kind for kind, (ending, _) in CLASSES.items() if saved_as.endswith(ending)), None)
    if kind is None or config.is_encoder_decoder:
        raise UserError(
            "this checkpoint has no head that can be asked",
            where=str(folder / "config.json"),
            expected="an encoder saved as one of: " + ", ".join(f"...{ending}" for ending, _ in CLASSES.values()),
            found=saved_as,
            todo="for a backbone without a head use the adapter 'encoder', which trains one",
        )
    other = sorted(name for name, spec in heads.items() if spec.kind != kind)
    if other:
        raise UserError(
            f"the checkpoint's head is of kind '{kind}'",
            where=str(folder / "config.json"),
            expected=f"'{heads[other[0]].kind}' for {', '.join(other)}",
            found=saved_as,
        )
    return kind


def _label_order(head: str, spec: HeadSpec, *, config: PretrainedConfig, source: ModelSource) -> list[int]:
    """The model's output index of each of the task's labels; UserError unless names match one to one."""
    wanted = tuple(source.head_labels.get(head, ()))
    if len(wanted) != spec.num_outputs:
        raise ValueError(f"head_labels[{head!r}] has {len(wanted)} labels, the head {spec.num_outputs} outputs")
    names = _model_labels(config, source)
    ignored = {_fold(name) for name in _listed(source, "ignore_labels")}
    unknown = ignored - set(map(_fold, names))
    if unknown:
        raise UserError(
            f"the model has no label '{min(unknown)}'", where="ignore_labels", todo=did_you_mean(min(unknown), map(_fold, names))
        )
    index = {_fold(name): number for number, name in enumerate(names) if _fold(name) not in ignored}
    if len(index) != len(names) - len(ignored):
        raise UserError("two labels of the model differ in case only", where=source.path, found=", ".join(names))
    missing = [name for name in wanted if _fold(name) not in index]
    extra = sorted(set(index) - set(map(_fold, wanted)))
    if missing or extra:
        raise UserError(
            f"the model's labels are not those of '{head}'",
            where=source.path,
            expected=", ".join(wanted),
            found=", ".join(names),
            todo="name the model's outputs in their order with --model_args labels=a|b|c"
            + (", or forbid those the task does not have with ignore_labels=" + "|".join(extra) if extra and not missing else ""),
        )
    return [index[_fold(name)] for name in wanted]


def _model_labels(config: PretrainedConfig, source: ModelSource) -> list[str]:
    """Names of the model's outputs in their order: as given, or as its configuration says; UserError for LABEL_0 and the like."""
    given = _listed(source, "labels")
    if given and len(given) != config.num_labels:
        raise UserError("wrong number of labels", where="labels", expected=f"{config.num_labels} names", found="|".join(given))
    id2label: dict[Any, str] = config.id2label or {}
    if not given and sorted(id2label, key=str) != sorted(range(len(id2label)), key=str):
        expected = "numbers from 0 on, each with a name"
        raise UserError("`id2label` leaves outputs out", where=source.path, expected=expected, found=str(list(id2label))[:200])
    names = given or [str(id2label[index]) for index in range(len(id2label))]
    generic = [name for name in names if name.upper().startswith("LABEL_") and name[6:].isdigit()]
    if generic:
        raise UserError(
            "the model does not say what its outputs mean",
            where=source.path,
            expected="label names in `id2label` of config.json",
            found=", ".join(names),
            todo="look them up and give them in this order: --model_args labels=a|b|c",
        )
    return names


def _listed(source: ModelSource, key: str) -> list[str]:
    """A list given as `a|b|c` (or as a list)."""
    value = source.extra.get(key, ())
    return [name.strip() for name in value.split("|")] if isinstance(value, str) else [str(name) for name in value]


def _fold(name: str) -> str:
    """A label name for comparison."""
    return name.strip().casefold()
