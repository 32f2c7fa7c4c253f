"""For scripts that run in the environment of lm-eval: its tasks read a mirror of hub datasets, its index looks into some folders.

put_in_place(Path("mirror"))            # `datasets.load_dataset` reads <mirror>/<org>/<name>/<config>/<split>*.parquet
manager = task_manager("xnli,okapi")
"""

import json
import re
from pathlib import Path
from typing import Any

import datasets
import lm_eval.tasks
import pyarrow.parquet
from lm_eval.tasks import TaskManager

FILE = re.compile(r"(?P<split>.+?)(-\d+-of-\d+)?\.(parquet|jsonl)")


class Splits(dict):
    """Splits of a dataset by name; one that is not there has no rows."""

    def __missing__(self, split: str) -> datasets.Dataset:
        """An empty split with the columns of the others."""
        return next(iter(self.values())).select([])


def read_mirror(mirror: Path, path: str, name: str | None) -> Splits:
    """All splits of one config of a dataset."""
    folders = [mirror / path / name] if name else [mirror / path / "data", mirror / path / "default", mirror / path]
    for folder in folders:
        found = Splits()
        for file in sorted(folder.glob("*")):
            match = FILE.fullmatch(file.name)
            if match:
                part = _rows(file)
                split = match["split"]
                found[split] = datasets.concatenate_datasets([found[split], part]) if split in found else part
        if found:
            return found
    raise FileNotFoundError(f"no parquet or jsonl files of {path}, config {name}, in {mirror}")


def _rows(file: Path) -> datasets.Dataset:
    """A file as a dataset; names of labels are in the schema of a parquet file."""
    if file.suffix == ".parquet":
        return datasets.Dataset(datasets.table.InMemoryTable(pyarrow.parquet.read_table(file)))
    return datasets.Dataset.from_list([json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()])


def put_in_place(mirror: Path) -> None:
    """Let `datasets.load_dataset` read the mirror, except for the formats that name their own files."""
    original = datasets.load_dataset

    def load_dataset(path: str, name: str | None = None, **kwargs: Any) -> Any:
        if path in ("json", "csv", "parquet", "text"):
            return original(path, name, **kwargs)
        return read_mirror(mirror, path, name)

    datasets.load_dataset = load_dataset


def task_manager(directories: str | None) -> TaskManager:
    """lm-eval's index of its own tasks, of all or of some folders."""
    if directories is None:
        return TaskManager()
    own = Path(lm_eval.tasks.__file__).parent
    return TaskManager(include_path=[own / name for name in directories.split(",")], include_defaults=False)
