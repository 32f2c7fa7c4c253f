"""What a training told: TensorBoard's events below a run folder, and its own log.

scalars(root) == {"loss": [(1, 0.7), (2, 0.6)], "english_score": [(2, 63.4)]} == logged(root)
"""

import json
from pathlib import Path


def scalars(root: Path) -> dict[str, list[tuple[int, float]]]:
    """(step, value) by name, of the one training below a run folder."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (folder,) = (root / "tensorboard").iterdir()
    events = EventAccumulator(str(folder))
    events.Reload()
    return {name: [(one.step, one.value) for one in events.Scalars(name)] for name in events.Tags()["scalars"]}


def logged(root: Path) -> dict[str, list[tuple[int, float]]]:
    """The same of its log."""
    (path,) = root.glob("train/*/log.jsonl")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return {name: [(line["step"], line[name]) for line in lines if name in line] for name in ("loss", "english_score")}
