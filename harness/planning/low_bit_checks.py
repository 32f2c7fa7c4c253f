"""What cannot be done with weights in few bits, said before anything is loaded.

errors = low_bit_mistakes(backbone, entries, settings, routing=routing)
"""

import importlib.util
from collections.abc import Sequence

from harness.api.errors import UserError
from harness.api.quantization import METHODS, Method
from harness.planning.backbone.resolve import Backbone
from harness.planning.catalog.catalog import Entry
from harness.planning.intermediate import Setting
from harness.planning.routes import Routing
from harness.specs.task import TaskSpec

BITSANDBYTES, GGUF = "bitsandbytes", "gguf"


def low_bit_mistakes(
    backbone: Backbone, entries: Sequence[Entry[TaskSpec]], settings: Sequence[Setting], *, routing: Routing
) -> list[UserError]:
    """Training of what is not trained, packages that are not here, engines that do not read such weights."""
    stored, quantization = backbone.stored, backbone.arguments.extra.get("quantization")
    if stored is None and quantization is None:
        return []
    errors: list[UserError] = []
    specs = [entry.spec for entry in entries]
    trains = any(map(routing.is_trained, specs)) or (routing.trains and any(setting.phases for setting in settings))
    label = stored.label if stored else f"{BITSANDBYTES} {quantization}"
    if trains and stored is not None and stored.method != BITSANDBYTES:
        errors.append(
            UserError(
                f"weights that were quantised elsewhere are not trained here: {backbone.name} is {label}",
                where="--model",
                expected="full weights, which quantization=nf4,lora_rank=16 holds in 4 bits while adapters are trained",
                todo="--no_train or --route prompt asks the model as it is; to train, give the folder of its full weights",
            )
        )
    elif trains and "lora" not in backbone.arguments.extra:
        errors.append(
            UserError(
                "weights in few bits cannot be trained themselves",
                where="--model_args",
                found=label,
                todo="add lora_rank=16, which trains low-rank adapters beside them (QLoRA), or --no_train",
            )
        )
    served = [spec for spec in specs if routing.of(spec).is_served]
    if served and (quantization or (stored and stored.method == GGUF)):
        found, todo = label, "leave the engine out"
        errors.append(
            UserError(
                f"{backbone.engine.name} does not serve such weights here", where="--model_args engine", found=found, todo=todo
            )
        )
    if stored is not None and (trains or len(served) < len(specs)):
        errors += _missing_packages(stored.method, label)
    return errors


def _missing_packages(method: str, label: str) -> list[UserError]:
    """Why transformers cannot read a kind of weights here."""
    known = METHODS.get(method, Method())
    missing = [package for package in known.packages if importlib.util.find_spec(package) is None]
    if not missing:
        return []
    names = " and ".join(package.replace("_", "-") for package in missing)
    todo = "pip install xlift[low-bit]" if known.extra else f"pip install {' '.join(missing)}"
    served = ", or for prompts and vectors --model_args engine=vllm, which reads them by itself" if not known.extra else ""
    return [UserError(f"transformers needs {names} to read these weights", where="--model", found=label, todo=todo + served)]
