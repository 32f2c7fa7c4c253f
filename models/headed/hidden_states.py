"""Hidden states of inner layers, computed no further than needed.

hidden_BTH = hidden_state(backbone, inputs, layer=resolve_layer(0.583, 24))     # hidden_states[14], layers 15 to 24 not run
hidden_BTH = hidden_state(backbone, inputs, layer=24, lengths=[17, 5])          # no padding is computed where there is much of it
"""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from transformers import PreTrainedModel

from harness.api.errors import UserError
from models.loading.layers import find_layers
from models.packing.attention import Packing, is_packable, packed_inputs
from models.packing.last_layer import last_layer_of_reads, worth_choosing
from models.packing.unpadded import Unpadded


def resolve_layer(layer: float, num_layers: int) -> int:
    """Index into hidden_states (0 = embeddings) of a `Pooling.layer`; UserError if the model has no such layer."""
    fraction = 0 < layer < 1
    index = round(layer * num_layers) if fraction else int(layer)
    if (not fraction and index != layer) or not -num_layers - 1 <= index <= num_layers:
        raise UserError(
            f"there is no layer {layer:g}",
            expected=f"a whole number from {-num_layers - 1} to {num_layers}, or a fraction of the depth between 0 and 1",
        )
    return index % (num_layers + 1)


def hidden_state(
    backbone: PreTrainedModel,
    inputs: Mapping[str, Any],
    *,
    layer: int,
    lengths: Sequence[int] = (),
    reads: str | None = None,
) -> Tensor:
    """The [B, T, H] tensor that `output_hidden_states` would give as hidden_states[layer]; the layers above are not run.

    It lies where the inputs do, wherever the last of these layers lies.  `lengths`: tokens of each row, padded on the right, if
    they are known; where they differ enough and the backbone can be packed, they are, and hidden states of padding are zeros.
    `reads`: `first` or `last` where of each row nothing but that token is read: others may be zeros as well.
    """
    ids_BT = inputs["input_ids"]
    unpadded = Unpadded.where_worth_it(lengths, ids_BT, trains=backbone.training) if is_packable(backbone) else None
    if unpadded is None:
        return _hidden_state(backbone, inputs, layer=layer).to(ids_BT.device)
    ids_N, tokens = unpadded.taken(ids_BT), None
    if reads is not None and layer == backbone.config.num_hidden_layers:
        tokens = worth_choosing(backbone, unpadded.tokens_of_rows(reads), num_tokens=len(ids_N))
    packing = Packing(unpadded.layout, reads=tokens)
    packed = {**packed_inputs(ids_N, packing, body=backbone)}
    if "token_type_ids" in inputs:
        packed["token_type_ids"] = unpadded.taken(inputs["token_type_ids"]).unsqueeze(0)
    with last_layer_of_reads(backbone, packing):
        found_1NH = _hidden_state(backbone, packed, layer=layer)
    return unpadded.put_back(found_1NH.squeeze(0), tokens=tokens).to(ids_BT.device)


def _hidden_state(backbone: PreTrainedModel, inputs: Mapping[str, Any], *, layer: int) -> Tensor:
    """The same, wherever it lies, of inputs as they are."""
    num_layers = backbone.config.num_hidden_layers
    if layer == num_layers:
        found: Tensor = backbone(**inputs).last_hidden_state
        return found
    owner, name = find_layers(backbone)
    layers = getattr(owner, name)
    captured: list[Tensor] = []

    def before(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        captured.append(args[0] if args else kwargs["hidden_states"])

    def after(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        captured.append(output[0] if isinstance(output, tuple) else output)

    # Some families index the list or read the last output: one layer always runs.
    hook = (
        layers[0].register_forward_pre_hook(before, with_kwargs=True)
        if layer == 0
        else layers[layer - 1].register_forward_hook(after)
    )
    setattr(owner, name, nn.ModuleList(layers[: max(layer, 1)]))
    try:
        backbone(**inputs)
    finally:
        hook.remove()
        setattr(owner, name, layers)
    return captured[0]
