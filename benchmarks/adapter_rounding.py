"""What merging adapters into weights costs in rounding, by the type of the weights and the rule; one table, about a minute.

    python benchmarks/adapter_rounding.py --width 1024 --phases 1,3

Random weights of the usual size (normal, 0.02) and updates of rank 16 that are a share of them.  `of weights`: the norm of what a
merged weight is off by, over that of the weight; `of updates`: over that of the update that is to be kept; `of outputs`: the same
of what layer and exact sum give for random inputs.  Rules: `once` sums in fp32 and rounds once (models/low_rank/merging.py),
`each` rounds the update and after each phase (peft's merge on bf16 weights), `quantised` dequantises and quantises anew.  What
stays beside the weights (`stack`) is off by nothing.
"""

import argparse

import torch


def nf4(weight: torch.Tensor) -> torch.Tensor:
    """The weight as 4 bits hold it."""
    from bitsandbytes import functional

    return functional.dequantize_4bit(*functional.quantize_4bit(weight, quant_type="nf4", compress_statistics=True))


def int8(weight: torch.Tensor) -> torch.Tensor:
    """The weight as 8 bits hold it."""
    from bitsandbytes import functional

    rows, scales, _ = functional.int8_vectorwise_quant(weight.half())
    return functional.int8_vectorwise_dequant(rows, scales).float()


def bf16(weight: torch.Tensor) -> torch.Tensor:
    """The weight as bfloat16 holds it."""
    return weight.bfloat16().float()


TYPES = {"bfloat16": bf16, "int8": int8, "nf4": nf4}


def merged(base: torch.Tensor, updates: list[torch.Tensor], kind: str, rule: str) -> torch.Tensor:
    """A stored weight with all updates, by a rule."""
    store = TYPES[kind]
    if rule == "once":
        return store(base + sum(updates))
    for update in updates:
        base = store(base + (store(update) if kind == "bfloat16" else update))
    return base


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=1024)
    parser.add_argument("--phases", default="1,3")
    parser.add_argument("--share", type=float, default=0.05, help="norm of an update over that of the weight")
    args = parser.parse_args()
    torch.manual_seed(0)
    weight = 0.02 * torch.randn(args.width, args.width)
    inputs = torch.randn(256, args.width)
    print("| weights | rule | phases | of weights | of updates | of outputs |\n| :-- | :-- | --: | --: | --: | --: |")  # noqa: T201
    for phases in map(int, args.phases.split(",")):
        updates = []
        for _ in range(phases):
            update = torch.randn(args.width, 16) @ torch.randn(16, args.width)
            updates.append(args.share * update * weight.norm() / update.norm())
        for kind, rules in {"bfloat16": ("once", "each"), "int8": ("quantised",), "nf4": ("quantised",)}.items():
            base = TYPES[kind](weight)
            exact = base + sum(updates)
            for rule in rules:
                lost = merged(base, updates, kind, rule) - exact
                numbers = (
                    lost.norm() / exact.norm(),
                    lost.norm() / (exact - base).norm(),
                    (inputs @ lost.T).norm() / (inputs @ exact.T).norm(),
                )
                print(f"| {kind} | {rule} | {phases} | " + " | ".join(f"{100 * float(n):.2g} %" for n in numbers) + " |")  # noqa: T201


if __name__ == "__main__":
    main()
