"""The checkpoints of finished trainings, which --keep and trials let go when all that reads them is done.

has_weights(stage, root)       # False once drop_weights(stage, root) has taken them
"""

from pathlib import Path

from harness.runtime.arguments import TrainArguments
from harness.runtime.folders import remove_folder
from harness.runtime.locks import lock
from harness.runtime.stages import AnyStage


def has_weights(stage: AnyStage, root: Path) -> bool:
    """Whether a finished training stage still has its checkpoint (see --keep)."""
    return not isinstance(stage.args, TrainArguments) or (stage.folder(root) / "checkpoint").is_dir()


def drop_weights(stage: AnyStage, root: Path) -> None:
    """Remove the checkpoint of a finished training that no other process holds; what it says of itself stays."""
    with lock(stage.folder(root), wait=False) as held:
        if held and has_weights(stage, root):
            remove_folder(stage.folder(root) / "checkpoint")
