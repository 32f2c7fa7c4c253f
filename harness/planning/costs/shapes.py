"""Sizes of a backbone from which its costs follow: parameters by kind, widths, layers.

    shape.parameters, shape.in_matrices, shape.key_width

`architectures.py` reads them from a config.json.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ModelShape:
    """Sizes of a model.  Letters as in the formulas of docs/planning.md: L, H, F, Q, K, V."""

    family: str
    "What its layers keep for the backward pass: a row of harness/planning/costs/activations.py."
    layers: int
    hidden: int
    "H, width of hidden states."
    heads: int
    kv_heads: int
    head_width: int
    intermediate: int
    "F, inner width of the feed-forward part."
    vocab: int
    "V, rows of the table of words."
    matrices_per_layer: int
    "Parameters of the linear layers of one layer."
    vectors_per_layer: int = 0
    "Its biases and norms."
    tables: int = 0
    "Parameters of embedding tables: words, positions, types."
    outputs: int = 0
    "Parameters of the output matrix of a language model, where it is not the table of words."
    others: int = 0
    "Parameters outside layers and tables."
    words_width: int = 0
    "Width of the table of words."
    attention_dropout: float = 0.0
    hidden_dropout: float = 0.0
    relative_positions: int = 0
    "Positions of a table of relative ones that each layer attends to (DeBERTa)."
    tied: bool = True
    "The table of words serves as output matrix."
    causal: bool = False
    packs: bool = False
    "Batches are computed without their padding."
    guess: str = ""
    "What was not known and is reckoned otherwise; empty where all is exact."

    @property
    def query_width(self) -> int:
        """Q, width of all heads."""
        return self.heads * self.head_width

    @property
    def key_width(self) -> int:
        """K, width of the keys (and of the values) of a token in a layer."""
        return self.kv_heads * self.head_width

    @property
    def parameters(self) -> int:
        """All of them."""
        inner = self.layers * (self.matrices_per_layer + self.vectors_per_layer)
        return inner + self.tables + self.outputs + self.others

    @property
    def in_matrices(self) -> int:
        """Parameters of the layers that multiply every token: what arithmetic grows with."""
        return self.layers * self.matrices_per_layer

    @property
    def largest(self) -> int:
        """Elements of the largest single tensor."""
        return max(self.vocab * self.words_width, self.outputs, self.hidden * self.intermediate)
