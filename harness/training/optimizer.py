"""What an optimizer trains, at which rate, and the optimizer itself: AdamW with moments in fp32 or in eight bits.

    freeze(module, training)
    optimizer = TrainingOptimizer(module, training, device="cuda")
    optimizer.take_gradients(); optimizer.step(); optimizer.zero_grad()
    factor = rate_factor(training, total_steps=1000)      # factor(step): share of the peak rate

Each process steps the part of each parameter that it holds, as plain tensors, so that every kind of optimizer works on a model
that is divided.  Eight-bit moments are kept in blocks of 256 values with a scale each; blocks lie within a row of a matrix, so
that they are the same ones whatever the number of processes.  Matrices whose rows are no multiple of 256, vectors, and all that
is small keep moments in fp32.
"""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from harness.api.errors import UserError
from harness.specs.recipe import Training
from harness.training.sharding import local_part

if TYPE_CHECKING:
    import torch

BLOCK = 256
"Values that share a scale in bitsandbytes' eight-bit optimizers."
SMALLEST = 4096
"Values from which a matrix has eight-bit moments (Dettmers et al. 2022, arXiv 2110.02861)."


def freeze(module: torch.nn.Module, training: Training) -> None:
    """Hold still the tables of words, positions and types, if asked."""
    import torch

    if training.freeze == "embeddings":
        for table in module.modules():
            if isinstance(table, torch.nn.Embedding):
                table.requires_grad_(False)


def parameter_groups(module: torch.nn.Module, training: Training) -> list[dict[str, Any]]:
    """Weights with and without decay (biases and norms are vectors), fresh heads with their own rate."""
    groups: dict[tuple[bool, bool], list[Any]] = {}
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            groups.setdefault((parameter.ndim > 1, name.startswith("heads.")), []).append(parameter)
    return [
        {
            "params": parameters,
            "weight_decay": training.weight_decay if decays else 0.0,
            "lr": (training.head_learning_rate or training.learning_rate) if in_head else training.learning_rate,
        }
        for (decays, in_head), parameters in sorted(groups.items())
    ]


def rate_factor(training: Training, *, total_steps: int) -> Callable[[int], float]:
    """Factor of the learning rate at a step: linear warmup, then linear decay to 0 or constant."""
    warmup = training.warmup_steps if training.warmup_steps is not None else math.ceil(training.warmup_ratio * total_steps)

    def factor(step: int) -> float:
        if step < warmup:
            return step / max(1, warmup)
        if training.schedule == "constant":
            return 1.0
        return max(0.0, (total_steps - step) / max(1, total_steps - warmup))

    return factor


class TrainingOptimizer:
    """The optimizer of a training, over this process's part of every trained parameter."""

    def __init__(self, module: torch.nn.Module, training: Training, *, device: str) -> None:
        """Takes a module whose parameters are where they stay; UserError where bitsandbytes is wanted and not here."""
        import torch
        from torch.distributed.tensor import DTensor

        self.parameters: dict[str, torch.nn.Parameter] = {name: p for name, p in module.named_parameters() if p.requires_grad}
        self._own = {
            name: torch.nn.Parameter(local_part(p)) if isinstance(p, DTensor) else p for name, p in self.parameters.items()
        }
        own = {id(self.parameters[name]): part for name, part in self._own.items()}
        groups = parameter_groups(module, training)
        wide = {id(own[id(p)]) for p in self.parameters.values() if in_blocks(p)}
        for group in groups:
            group["params"] = [own[id(p)] for p in group["params"]]
        how: dict[str, Any] = {"lr": training.learning_rate, "betas": (0.9, training.adam_beta2), "eps": training.adam_epsilon}
        self.in_eight_bits = training.optimizer == "adamw_8bit"
        if self.in_eight_bits:
            self.inner: torch.optim.Optimizer = _eight_bit(groups, wide, **how)
        else:
            self.inner = torch.optim.AdamW(groups, fused=device.startswith(("cpu", "cuda")), **how)

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """Parameters with their rates, as torch's optimizers have them."""
        return self.inner.param_groups

    def take_gradients(self) -> None:
        """Let the parts have the gradients of their parameters: before they are looked at or stepped."""
        for name, parameter in self.parameters.items():
            if self._own[name] is not parameter:
                gradient: Any = parameter.grad
                self._own[name].grad = None if gradient is None else gradient.to_local()

    def step(self) -> None:
        """Step every parameter that has a gradient."""
        self.take_gradients()
        self.inner.step()

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in (*self.parameters.values(), *self._own.values()):
            parameter.grad = None

    def steps(self) -> dict[str, int]:
        """Steps taken by each parameter that has been stepped; the same in every process."""
        return {name: int(self.inner.state[part]["step"]) for name, part in self._own.items() if part in self.inner.state}

    def tensors(self) -> dict[str, torch.Tensor]:
        """Moments by `<parameter>/<name>`, divided as the parameters are."""
        found = {}
        for name, part in self._own.items():
            for key, value in self._moments(part).items():
                found[f"{name}/{key}"] = self._divided(name, value)
        return found

    def restore(self, steps: Mapping[str, int]) -> dict[str, torch.Tensor]:
        """Make room for the moments of parameters that were stepped so often; returns the tensors to be filled."""
        import torch

        for name, number in steps.items():
            part = self._own[name]
            if self.in_eight_bits:
                self.inner.init_state(*self._numbers(part))  # type: ignore[attr-defined]
                self.inner.state[part]["step"] = number
            else:
                moments = {key: torch.zeros_like(part) for key in ("exp_avg", "exp_avg_sq")}
                step = torch.tensor(float(number), device=part.device if self.param_groups[0].get("fused") else "cpu")
                self.inner.state[part] = {"step": step, **moments}
        return self.tensors()

    def _numbers(self, part: torch.nn.Parameter) -> tuple[dict[str, Any], torch.nn.Parameter, int, int]:
        """What bitsandbytes calls a parameter by: its group, itself, the numbers of both."""
        for group_number, group in enumerate(self.param_groups):
            for number, one in enumerate(group["params"]):
                if one is part:
                    return group, part, group_number, number
        raise KeyError(part.shape)

    def _moments(self, part: torch.nn.Parameter) -> Mapping[str, torch.Tensor]:
        """The tensors of a parameter's state that are its own."""
        state = self.inner.state.get(part, {})
        kept = ("exp_avg", "exp_avg_sq", "state1", "state2", "absmax1", "absmax2")
        # A scale a block, in rows as the matrix is: what can be divided by rows.
        blocks = math.prod(part.shape[1:]) // BLOCK
        return {
            key: value.view(len(part), blocks) if key.startswith("absmax") else value
            for key, value in state.items()
            if key in kept
        }

    def _divided(self, name: str, part: torch.Tensor) -> torch.Tensor:
        """A part as what it is a part of."""
        from torch.distributed.tensor import DTensor

        parameter = self.parameters[name]
        if not isinstance(parameter, DTensor):
            return part
        shape = (parameter.shape[0], *part.shape[1:])
        stride = [1]
        for size in reversed(shape[1:]):
            stride.insert(0, stride[0] * size)
        return DTensor.from_local(
            part, parameter.device_mesh, parameter.placements, run_check=False, shape=_size(shape), stride=tuple(stride)
        )


def in_blocks(parameter: torch.Tensor) -> bool:
    """Whether the eight-bit moments of a (whole) parameter can be cut into blocks that lie within its rows."""
    return parameter.ndim > 1 and parameter.numel() >= SMALLEST and math.prod(parameter.shape[1:]) % BLOCK == 0


def clip(parameters: Iterable[torch.nn.Parameter], limit: float) -> torch.Tensor:
    """Scale gradients down to a norm, taken over all of them in all processes; returns what it was."""
    import torch
    from torch.distributed.tensor import DTensor

    norm = torch.nn.utils.clip_grad_norm_(parameters, limit)
    return norm.full_tensor() if isinstance(norm, DTensor) else norm


def _size(shape: Iterable[int]) -> torch.Size:
    import torch

    return torch.Size(shape)


def _eight_bit(groups: list[dict[str, Any]], wide: set[int], **how: Any) -> Any:
    """AdamW of bitsandbytes with eight-bit moments for the parameters in `wide`, by id."""
    with _quiet("bitsandbytes"):
        try:
            from bitsandbytes.optim import AdamW8bit
        except ImportError as error:
            raise UserError(
                "optimizer adamw_8bit needs bitsandbytes", found=str(error), todo="pip install 'xlift[low-bit]'"
            ) from error

    class BlockwiseAdamW(AdamW8bit):
        """Asks of the whole parameter, not of this process's part, whether its moments are in eight bits."""

        def get_config(self, gindex: int, pindex: int, group: dict[str, Any]) -> dict[str, Any]:
            """Settings of a parameter."""
            bits = 8 if id(group["params"][pindex]) in wide else 32
            config: dict[str, Any] = {**super().get_config(gindex, pindex, group), "optim_bits": bits, "min_8bit_size": 0}
            return config

    return BlockwiseAdamW(groups, **how)


@contextlib.contextmanager
def _quiet(name: str) -> Iterator[None]:
    """Within it a logger says nothing below an error: bitsandbytes tells of kernels that are not needed here."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
