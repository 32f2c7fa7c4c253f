"""Heads that the project owns, so that every backbone has the same ones (half of the families lack some Auto...For... class).

    head = build_head(HeadSpec(kind="token", num_outputs=7), HeadShape(hidden_size=768), seed=1, name="panx")
    logits_BTC = head(hidden_BTH, attention_mask_BT)

`sequence`, `choice` and `token` follow jiant's heads.py (dropout-dense-tanh-dropout-linear; dropout-linear), `span` is one
linear layer with two outputs, `mlm` is dense-gelu-norm with the decoder tied to the input embeddings, `lm` is the backbone's own.
Shape suffixes: B features, T tokens, H width, C outputs, M masked positions, E width of the input embeddings, V vocabulary.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from harness.api.errors import UserError, did_you_mean
from harness.api.protocols import HeadSpec
from harness.api.randomness import torch_seed

LM_HEAD_NAMES: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("lm_head.dense", "lm_head.layer_norm", ("lm_head.bias", "lm_head.decoder.bias")),
    (
        "cls.predictions.transform.dense",
        "cls.predictions.transform.LayerNorm",
        ("cls.predictions.bias", "cls.predictions.decoder.bias"),
    ),
    ("head.dense", "head.norm", ("decoder.bias",)),
)
"Where MLM checkpoints keep dense, norm and output bias: XLM-R (and XL), BERT, ModernBERT."


@dataclass(frozen=True, kw_only=True)
class HeadShape:
    """The sizes and settings of the backbone that a head is built for."""

    hidden_size: int
    "Width of the hidden states."
    dropout: float = 0.1
    "Dropout before each linear layer."
    initializer_range: float = 0.02
    "Standard deviation of fresh weights."
    embedding_size: int = 0
    "Width of the input embeddings (mlm only)."
    vocab_size: int = 0
    "Rows of the input embeddings (mlm only)."
    norm_eps: float = 1e-5
    "Epsilon of the mlm head's layer norm."
    pooling: str = "first"
    "What sequence and choice heads read: the `first` token, or the `mean` where no special token comes first (T5)."


class SequenceHead(nn.Module):
    """One vector a feature: dropout, dense, tanh, dropout, linear."""

    def __init__(self, spec: HeadSpec, shape: HeadShape) -> None:
        """Takes the number of outputs from the spec and what it reads from `shape.pooling`."""
        super().__init__()
        self.pooling = shape.pooling
        self.dropout = nn.Dropout(shape.dropout)
        self.dense = nn.Linear(shape.hidden_size, shape.hidden_size)
        self.output = nn.Linear(shape.hidden_size, spec.num_outputs)

    def forward(self, hidden_BTH: Tensor, attention_mask_BT: Tensor) -> Tensor:
        """Logits [B, C]."""
        pooled_BH = pool(hidden_BTH, attention_mask_BT, method=self.pooling)
        return self.output(self.dropout(torch.tanh(self.dense(self.dropout(pooled_BH)))))


class ChoiceHead(SequenceHead):
    """One logit a feature; the loss sets the options of an example against each other."""

    def forward(self, hidden_BTH: Tensor, attention_mask_BT: Tensor) -> Tensor:
        """Logits [B]."""
        return super().forward(hidden_BTH, attention_mask_BT).squeeze(-1)


class TokenHead(nn.Module):
    """One label a token: dropout, linear."""

    def __init__(self, spec: HeadSpec, shape: HeadShape) -> None:
        """Takes the number of outputs from the spec."""
        super().__init__()
        self.dropout = nn.Dropout(shape.dropout)
        self.output = nn.Linear(shape.hidden_size, spec.num_outputs)

    def forward(self, hidden_BTH: Tensor, attention_mask_BT: Tensor) -> Tensor:
        """Logits [B, T, C]."""
        return self.output(self.dropout(hidden_BTH))


class SpanHead(nn.Module):
    """Start and end of an answer: one linear layer."""

    def __init__(self, spec: HeadSpec, shape: HeadShape) -> None:
        """Takes the number of outputs (2) from the spec."""
        super().__init__()
        self.output = nn.Linear(shape.hidden_size, spec.num_outputs)

    def forward(self, hidden_BTH: Tensor, attention_mask_BT: Tensor) -> Tensor:
        """Logits [B, T, 2]."""
        return self.output(hidden_BTH)


class MlmHead(nn.Module):
    """Words at masked positions: dense, gelu, layer norm, decoder tied to the input embeddings."""

    def __init__(self, spec: HeadSpec, shape: HeadShape) -> None:
        """Takes its sizes from the shape; `spec.num_outputs` is not used."""
        super().__init__()
        self.dense = nn.Linear(shape.hidden_size, shape.embedding_size)
        self.norm = nn.LayerNorm(shape.embedding_size, eps=shape.norm_eps)
        self.bias = nn.Parameter(torch.zeros(shape.vocab_size))

    def forward(self, hidden_MH: Tensor, embedding_VE: Tensor) -> Tensor:
        """Logits [M, V] of the masked positions alone, in the type of the embeddings (V is large)."""
        word_ME = self.norm(functional.gelu(self.dense(hidden_MH.to(self.dense.weight.dtype))))
        return functional.linear(word_ME.to(embedding_VE.dtype), embedding_VE, self.bias.to(embedding_VE.dtype))

    def load_pretrained(self, tensors: Mapping[str, Tensor]) -> bool:
        """Take over an LM head under one of the usual names; False (and nothing changed) if none fits this shape."""
        for dense, norm, biases in LM_HEAD_NAMES:
            bias = next((tensors[name] for name in biases if name in tensors), None)
            found = {
                "dense.weight": tensors.get(f"{dense}.weight"),
                "dense.bias": tensors.get(f"{dense}.bias", torch.zeros_like(self.dense.bias)),
                "norm.weight": tensors.get(f"{norm}.weight", tensors.get(f"{norm}.gamma")),
                "norm.bias": tensors.get(f"{norm}.bias", tensors.get(f"{norm}.beta", torch.zeros_like(self.norm.bias))),
                "bias": bias,
            }
            if all(tensor is not None and tensor.shape == self.get_parameter(name).shape for name, tensor in found.items()):
                self.load_state_dict(found)
                return True
        return False


class LmHead(nn.Module):
    """The next token: stands for the output matrix of a causal language model, which is part of its backbone."""

    def __init__(self, spec: HeadSpec, shape: HeadShape) -> None:
        """Has no weights; `spec.num_outputs` is not used."""
        super().__init__()

    def forward(self, hidden_BTH: Tensor, attention_mask_BT: Tensor) -> Tensor:
        """Not offered: only the adapter of a causal language model has the matrix."""
        raise ValueError("an lm head needs a causal language model")


HEADS: dict[str, type[nn.Module]] = {
    "sequence": SequenceHead,
    "choice": ChoiceHead,
    "token": TokenHead,
    "span": SpanHead,
    "mlm": MlmHead,
    "lm": LmHead,
}


def lm_head_names() -> tuple[str, ...]:
    """All tensor names under which `MlmHead.load_pretrained` looks."""
    modules = [
        f"{module}.{part}"
        for dense, norm, _ in LM_HEAD_NAMES
        for module in (dense, norm)
        for part in ("weight", "bias", "gamma", "beta")
    ]
    return (*modules, *(bias for _, _, biases in LM_HEAD_NAMES for bias in biases))


def build_head(spec: HeadSpec, shape: HeadShape, *, seed: int, name: str) -> nn.Module:
    """Make a fresh fp32 head: weights normal(0, initializer_range) from (seed, name), biases 0; UserError for an unknown kind."""
    if spec.kind not in HEADS:
        raise UserError(f"unknown head kind '{spec.kind}'", where=f"head '{name}'", todo=did_you_mean(spec.kind, HEADS))
    with torch.device("meta"):
        head = HEADS[spec.kind](spec, shape)
    head.to_empty(device="cpu")
    # Name and seed alone decide: the same head comes out whatever other heads are built, and in whatever order.
    generator = torch.Generator().manual_seed(torch_seed(name, seed=seed))
    with torch.no_grad():
        for module in head.modules():
            if isinstance(module, nn.Linear):
                module.weight.normal_(0.0, shape.initializer_range, generator=generator)
                module.bias.zero_()
            elif isinstance(module, nn.LayerNorm):
                module.reset_parameters()
            elif isinstance(module, MlmHead):
                module.bias.zero_()
    return head


def read_token(method: str) -> str | None:
    """The one token of a feature whose hidden state a method of pooling reads, `first` or `last`; None where it reads several."""
    return method if method in {"first", "last"} else None


def pool(hidden_BTH: Tensor, attention_mask_BT: Tensor, *, method: str) -> Tensor:
    """Make one fp32 vector [B, H] of each right-padded feature; the methods are those of `Pooling`."""
    hidden_BTH = hidden_BTH.float()
    mask_BT = attention_mask_BT.to(hidden_BTH.device)
    rows_B = torch.arange(len(hidden_BTH), device=hidden_BTH.device)
    if method == "first":
        return hidden_BTH[:, 0]
    if method == "last":
        return hidden_BTH[rows_B, mask_BT.sum(1) - 1]
    if method not in {"mean", "mean_no_first"}:
        raise UserError(f"unknown pooling '{method}'", todo=did_you_mean(method, ("mean", "mean_no_first", "first", "last")))
    weights_BT = mask_BT.to(hidden_BTH.dtype)
    if method == "mean_no_first":
        # A feature of one token keeps it: there is nothing else to pool.
        alone_B = (mask_BT.sum(1) == 1).to(hidden_BTH.dtype)
        weights_BT = torch.cat((alone_B[:, None], weights_BT[:, 1:]), dim=1)
    return torch.einsum("bth,bt->bh", hidden_BTH, weights_BT) / weights_BT.sum(1, keepdim=True)
