"""A mirror with one small dataset, `org/nli`, and the task that reads it.

mirror = NliMirror(tmp_path / "mirror")
mirror("de/test-0.parquet", [pair(0), pair(1)], labelled())       # without labelled(): class numbers have no names
load_examples(nli_task(), split="test", langs=["de"], place=mirror.place)
"""

import json

import pyarrow as pa
import pyarrow.parquet as pq

from harness.data.locations import DataPlace
from harness.specs.task import Source, TaskSpec

NLI = ["entailment", "neutral", "contradiction"]


class NliMirror:
    """A place of data on this machine alone; calling it adds a parquet file to the dataset."""

    def __init__(self, folder):
        self.dataset = folder / "org" / "nli"
        self.dataset.mkdir(parents=True)
        self.place = DataPlace(data_dir=folder, offline=True)

    def __call__(self, name, rows, features=None):
        path = self.dataset / name
        path.parent.mkdir(parents=True, exist_ok=True)
        table = pa.Table.from_pylist(rows)
        if features:
            table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
        pq.write_table(table, path)
        return path

    def readme(self, text):
        (self.dataset / "README.md").write_text(text, encoding="utf-8")


def pair(number, label=0, **more):
    return {"premise": f"p {number}", "hypothesis": f"h {number}", "label": label, **more}


def labelled(names=NLI):
    return {"label": {"names": list(names), "_type": "ClassLabel"}, "premise": {"dtype": "string", "_type": "Value"}}


def nli_task(**changes):
    values = {
        "task": "nli",
        "type": "classification",
        "description": "a test",
        "languages": ["de", "fr"],
        "data": {"test": {"hub": "org/nli", "config": "{lang}", "split": "test"}},
        "fields": {"text": "premise", "text_pair": "hypothesis", "label": "label"},
        "labels": ["neutral", "contradiction", "entailment"],
    }
    return TaskSpec.model_validate({**values, **changes})


def source(**values):
    return Source.model_validate({"hub": "org/nli", "config": "de", "split": "test", **values})
