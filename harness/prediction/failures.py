"""Why cells of a bundle have no predictions: each by its own, so that the others are predicted all the same.

failures[cell.stage.key] = failure_of(error, folder=root)
failures = merged(gather(failures))     # of all processes: what one cannot read, none predicts
"""

import traceback
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from harness.api.errors import UserError
from harness.runtime.outputs import output_failure
from harness.runtime.processes import SharedFailure
from harness.runtime.repeatability import unrepeatable


class CellFailure(NamedTuple):
    """What became of a cell; plain texts, so that it goes from one process to another."""

    message: str
    "For the board and the command line."
    traceback: str
    "For `error.txt` of the stage's folder."


def failure_of(error: Exception, *, folder: Path) -> CellFailure:
    """The failure that an error is; raises OutputFailed where nothing can be written to the folder: that is no cell's own."""
    if failure := output_failure(error, folder=folder):
        raise failure from error
    return CellFailure(message_of(error), "".join(traceback.format_exception(error)))


def message_of(error: Exception) -> str:
    """What the board and the command line say of a failure: the words of errors that are made to be read, else kind and text."""
    told = unrepeatable(error) or error
    return str(told) if isinstance(told, UserError | SharedFailure) else f"{type(told).__name__}: {told}"


def merged(found: Iterable[Mapping[str, CellFailure]]) -> dict[str, CellFailure]:
    """The failures of several processes by stage key; that of the first counts."""
    everything: dict[str, CellFailure] = {}
    for failures in found:
        for key, failure in failures.items():
            everything.setdefault(key, failure)
    return everything
