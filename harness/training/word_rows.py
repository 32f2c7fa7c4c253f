"""The rows of the table of words that a training looks up, as a small table of their own.

    words = adapter.module.word_table()
    ids = ids_used(words, features, also=[pad_id])
    rows = WordRows.of(adapter.module, words, ids)                   # None where the whole table is trained
    rows.put_in()
    with rows.whole(share=0.9987): adapter.save(folder)              # the table as it is now, all rows of it

Rows of words that occur nowhere have gradients and moments of zero, and AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101)
multiplies them by 1 - rate * decay in each step and does nothing else to them.  So the optimizer has a table of the other rows,
and those are multiplied once, when the table is written.  A pass through XLM-R's kin makes gradients of a tenth of the table
instead of all of it, a step goes over a tenth of its moments, and their memory is not taken.  The results are those of the whole
table, but for the last digits in which sums are added in another order.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from harness.api.protocols import Feature, WordTable
from harness.runtime.word_rows import SMALLEST, takes_part
from harness.specs.recipe import Training
from harness.training.optimizer import rate_factor
from harness.training.sharding import local_part

if TYPE_CHECKING:
    import torch

    Reader: TypeAlias = Callable[[dict[str, torch.Tensor]], None]


def ids_used(words: WordTable, features: Iterable[Feature], *, also: Iterable[int]) -> torch.Tensor:
    """The rows [R] int64, ascending, that features look up, and what the network looks up of itself."""
    import torch

    used = np.zeros(words.table.num_embeddings, dtype=bool)
    for feature in features:
        used[feature.input_ids] = True
    used[[one for one in (*also, *words.ids, words.table.padding_idx) if one is not None and 0 <= one < len(used)]] = True
    return torch.from_numpy(np.flatnonzero(used))


def is_large(table: torch.Tensor) -> bool:
    """Whether a table is trained, and so large that its gradients cost more than passes do."""
    return table.requires_grad and table.numel() >= SMALLEST


def share_left(training: Training, *, steps: int, total_steps: int) -> float:
    """What AdamW's decay leaves, after so many steps, of a row that has had no gradient."""
    factor = rate_factor(training, total_steps=total_steps)
    return math.prod(1 - training.learning_rate * factor(step) * training.weight_decay for step in range(steps))


@dataclass(kw_only=True)
class WordRows:
    """A table of words of which some rows are trained."""

    name: str
    "Of the table among the parameters of the network."
    ids: torch.Tensor
    "[R] int64, ascending: the rows that are looked up."
    table: torch.nn.Parameter
    "[V, H] as the training began; its other rows stay."
    rows: torch.nn.Parameter
    "[R, H], what is trained."
    tables: list[torch.nn.Embedding]
    "The modules that look words up; more than one where a model has two names for its table."
    others: list[torch.nn.Module]
    "What uses the same matrix otherwise, and is not used in this training: a language model's outputs."

    @classmethod
    def of(cls, network: Any, words: WordTable, ids: torch.Tensor) -> WordRows | None:
        """The rows of `ids` of a table that is trained; None where there is little to leave out."""
        import torch

        table: Any = words.table.weight
        if not takes_part(vocabulary=len(table), width=table.shape[1], used=len(ids)):
            return None
        sharing = [module for module in network.modules() if module._parameters.get("weight") is table]
        return cls(
            name=next(name for name, parameter in network.named_parameters() if parameter is table),
            ids=ids,
            table=table,
            rows=torch.nn.Parameter(table.detach()[ids.to(table.device)].clone()),
            tables=[module for module in sharing if isinstance(module, torch.nn.Embedding)],
            others=[module for module in sharing if not isinstance(module, torch.nn.Embedding)],
        )

    def put_in(self) -> None:
        """Have the network look words up in the rows.

        A word that has none is an IndexError (on a GPU a failed assertion, which ends the process), never another word.
        """
        import torch

        place = torch.full((len(self.table),), len(self.ids), dtype=torch.int64)
        place[self.ids] = torch.arange(len(self.ids))
        place = place.to(self.table.device)
        self.table.requires_grad_(False)
        if self.table.device.type != "cpu":  # the device has the rows; what stays as it is waits in main memory
            self.table.data = self.table.data.cpu()

        def by_place(module: Any, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
            ids, *rest = arguments
            return (place[ids], *rest)

        for module in self.tables:
            if module.padding_idx is not None:
                module.padding_idx = int(place[module.padding_idx])
            module.weight = self.rows
            module.register_forward_pre_hook(by_place)

    @contextlib.contextmanager
    def whole(self, *, share: float) -> Iterator[None]:
        """The table as it is now in its place, for what writes the network; `share`: what is left of its other rows."""
        import torch

        table = self.table.detach()
        now = torch.nn.Parameter(table.clone() if share == 1.0 else table * share, requires_grad=False)
        now.data[self.ids] = self.rows.detach().to(now.device)
        for module in (*self.tables, *self.others):
            module.weight = now
        try:
            yield
        finally:
            for module in self.tables:
                module.weight = self.rows
            for other in self.others:
                other.weight = self.table


def read_rows(
    tensors: dict[str, torch.Tensor],
    read: Reader,
    *,
    name: str,
    ids: torch.Tensor,
    share: float,
) -> None:
    """Fill tensors of the whole table (or this process's part of them) from a state that has the rows of `ids` alone.

    The weights of the other rows are as the training began: `share` of them is left.
    """
    rows = _with_rows(tensors, name=name, number=len(ids))
    read({**tensors, **rows})
    for key, own in rows.items():
        part, first = _part(tensors[key])
        if key.startswith("model/"):
            part.mul_(share)
        here = (ids >= first) & (ids < first + len(part))
        part[(ids[here] - first).to(part.device)] = own[here].to(part.device)


def take_rows(tensors: dict[str, torch.Tensor], read: Reader, *, rows: WordRows) -> None:
    """Fill tensors of the rows alone from a state that has the whole table."""
    tables = _with_rows(tensors, name=rows.name, number=len(rows.table))
    read({**tensors, **tables})
    for key, table in tables.items():
        tensors[key].copy_(table[rows.ids])


def _with_rows(tensors: dict[str, torch.Tensor], *, name: str, number: int) -> dict[str, torch.Tensor]:
    """Room for a parameter and its moments as a state has them that holds another number of their rows."""
    import torch

    own = {key: tensor for key, tensor in tensors.items() if key == f"model/{name}" or key.startswith(f"optimizer/{name}/")}
    return {key: torch.zeros(number, *tensor.shape[1:], dtype=tensor.dtype) for key, tensor in own.items()}


def _part(tensor: Any) -> tuple[torch.Tensor, int]:
    """What this process holds of a tensor, and its first row's number in the whole."""
    from torch.distributed.tensor import DTensor
    from torch.distributed.tensor._utils import compute_local_shape_and_global_offset

    if not isinstance(tensor, DTensor):
        return tensor, 0
    _, offset = compute_local_shape_and_global_offset(tensor.shape, tensor.device_mesh, tensor.placements)
    return local_part(tensor), offset[0]
