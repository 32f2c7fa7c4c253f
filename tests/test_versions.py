"""The tests under other versions of Python use the versions of packages that all others use."""

import re

from harness.api.registry import ROOT


def pins(name: str) -> dict[str, str]:
    return dict(re.findall(r"(?m)^([\w.-]+)==(\S+)$", (ROOT / name).read_text(encoding="utf-8")))


def test_the_pins_without_torch_are_those_of_the_project() -> None:
    found, all_pins = pins("constraints-no-torch.txt"), pins("constraints.txt")
    assert {"numpy", "sacrebleu", "pytest"} <= set(found)
    assert {name: all_pins.get(name) for name in found} == found
    assert not {"torch", "transformers", "accelerate", "peft", "safetensors"} & set(found)
