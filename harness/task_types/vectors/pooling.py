"""What task types on pooled vectors share: the options of making them.

class Options(VectorOptions): ...      # retrieval and bitext_mining add their own
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from harness.api.protocols import Pooling
from harness.specs.model import Spec


def _place(layer: float) -> float:
    if layer != int(layer) and not 0 < layer < 1:
        raise ValueError("a layer is a whole number, or a fraction of the depth between 0 and 1")
    return layer


Layer = Annotated[float, Field(allow_inf_nan=False), AfterValidator(_place)]


class VectorOptions(Spec):
    """How a text becomes one vector."""

    max_length: int = Field(default=512, ge=1)
    "Longest input in tokens, special tokens included; the rest is cut away."
    layer: Layer = -1.0
    "Layer whose states are pooled: index into hidden_states (0 = embeddings), or a fraction of the depth (see Pooling)."
    pooling: Literal["mean", "mean_no_first", "first", "last"] = "mean"
    "How a text's states become one vector."
    prefix: str = ""
    "Put before each text (e5 wants `query: `)."


def pools(options: VectorOptions) -> Pooling:
    """The options as the adapters take them."""
    return Pooling(method=options.pooling, layer=options.layer)
