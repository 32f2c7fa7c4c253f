"""A study on disk that trains in seconds: three encoders of random weights, two targets, one intermediate task.

study = SmallStudy.make(tmp_path)
code = study.command("--output_path", str(tmp_path / "runs"))        # run_eval.main(["study", ...])
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from small_runs import CONFIG, FOREIGN, Project

import run_eval
from models.encoder import init_scratch, train_tokenizer

SIZES = {"small": 16, "medium": 24, "large": 48}
"Name of a folder -> hidden size."


@dataclass(frozen=True)
class SmallStudy:
    folder: Path
    path: Path

    @staticmethod
    def make(folder: Path, **changes: Any) -> "SmallStudy":
        """Write models, tasks and recipe, and the study with some keys changed (None leaves a key out)."""
        project = Project.make(folder / "project", tasks="pairs,tags,nearest", max_steps=4, eval_every=2)
        tokenizer = train_tokenizer([*FOREIGN, *FOREIGN.values()], vocab_size=200)
        for name, width in SIZES.items():
            init_scratch({**CONFIG, "hidden_size": width}, tokenizer=tokenizer, folder=folder / name, seed=1)
        study = SmallStudy(project.folder, folder / "ladder.yaml")
        study.write(**changes)
        return study

    def write(self, **changes: Any) -> None:
        """The study's file again, with some keys changed."""
        values: dict[str, Any] = {
            "study": "ladder",
            "description": "Three tiny encoders of random weights.",
            "methods": {"full": {"recipe": "tiny"}},
            "families": {"tiny": {"backbones": [str(self.path.parent / name) for name in SIZES], "contamination": "none"}},
            "intermediate": ["tags"],
            "tasks": ["pairs", "nearest"],
            "categories": [],
            "seeds": [1, 2],
            "verdicts": {"reference": 3000, "target": 20000, "margin": 5.0},
            "hypotheses": [{"name": "Tags keep helping", "asks": "scale", "settings": "tags"}],
        }
        values = {key: value for key, value in {**values, **changes}.items() if value is not None}
        self.path.write_text(json.dumps(values))

    def command(self, *words: str) -> int:
        """The command `study` in this process."""
        include = ["--include_path", str(self.folder)]
        return run_eval.main(["study", str(self.path), *include, "--device", "cpu", "--quiet", *words])


def trained(root: Path) -> list[str]:
    """The finished trainings below a run folder."""
    return sorted(path.parent.name for path in root.glob("train/*/done.json"))
