"""A real model cut to its first layers: a ladder of sizes whose upper rungs are the real thing and whose lower ones are damaged.

    cut_model(Path("multilingual-e5-small"), Path("e5-3"), num_layers=3)

For checks of machinery only: a model that lost its upper layers is no small model, and says nothing of one.
"""

import json
import re
import shutil
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save_file

LAYER = re.compile(r"(?:^|\.)layers?\.(\d+)\.")
"The number of the layer in the name of a tensor."


def cut_model(source: Path, folder: Path, *, num_layers: int) -> Path:
    """Write the first layers of a model of one safetensors file, with its tokenizer; the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    config = json.loads((source / "config.json").read_text(encoding="utf-8"))
    assert num_layers <= config["num_hidden_layers"]
    config["num_hidden_layers"] = num_layers
    if "layer_types" in config:
        config["layer_types"] = config["layer_types"][:num_layers]
    (folder / "config.json").write_text(json.dumps(config, indent=1), encoding="utf-8")
    with safe_open(source / "model.safetensors", framework="pt") as file:
        names = [name for name in file.keys() if not (found := LAYER.search(name)) or int(found[1]) < num_layers]  # noqa: SIM118
        save_file({name: file.get_tensor(name) for name in names}, folder / "model.safetensors", metadata={"format": "pt"})
    for path in source.iterdir():
        if path.is_file() and path.name not in ("config.json", "model.safetensors"):
            shutil.copy(path, folder / path.name)
    return folder
