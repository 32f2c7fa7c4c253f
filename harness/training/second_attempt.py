"""A training in few bits whose loss is no number any more begins again in fp32, where the user wants that.

raise LostLoss(loss, step=12, precision="bfloat16")       # in every process: the loss is the same in all
begin_again(folder, lost.facts())                          # what was trained is removed; a resumed run knows of it
begun_again(folder)                                        # {"precision": "bfloat16", "step": 12, "loss": "nan"} or None
told(facts)                                                # 'the loss became nan at step 12 in bfloat16'
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.api.errors import UserError
from harness.api.json_text import read_json_file
from harness.runtime.folders import remove_folder
from harness.runtime.stages import write_json

FILE = "begun_again.json"
"In the folder of an unfinished training; train.json says it of a finished one."


class LostLoss(Exception):
    """The loss of a step is infinite or no number."""

    def __init__(self, loss: float, *, step: int, precision: str) -> None:
        """`step` counts from 1."""
        super().__init__(f"the loss became {loss} at step {step}")
        self.loss, self.step, self.precision = loss, step, precision

    def facts(self) -> dict[str, Any]:
        """What is written down of it."""
        return {"loss": "nan" if math.isnan(self.loss) else str(self.loss), "precision": self.precision, "step": self.step}

    def as_user_error(self, where: str) -> UserError:
        """The end of the training."""
        other = "" if self.precision == "float32" else ", or --retry_in_float32"
        return UserError(
            str(self), where=where, found=f"computed in {self.precision}", todo=f"lower learning_rate, add warmup{other}"
        )


def begun_again(folder: Path) -> dict[str, Any] | None:
    """Why an unfinished training is the second attempt; None if it is the first."""
    path = folder / FILE
    return read_json_file(path, kind=dict) if path.is_file() else None


def begin_again(folder: Path, facts: Mapping[str, Any]) -> None:
    """Remove what the first attempt has left, then say so: killed in between, the first attempt is made again."""
    for left in (*folder.glob("state-*"), *folder.glob("best-*")):
        remove_folder(left)
    write_json(folder / FILE, dict(facts))


def forget_attempt(folder: Path) -> None:
    """Remove the word on it, once the training is finished."""
    (folder / FILE).unlink(missing_ok=True)


def told(facts: Mapping[str, Any]) -> str:
    """The facts as a reader is told them."""
    return f"the loss became {facts['loss']} at step {facts['step']} in {facts['precision']}"
