"""From the partials of a complete cell to predictions.jsonl and done.json, a few thousand examples at a time.

finish_cell(cell)                     # decode, write, mark done, remove what only unfinished predictions need
for line in read_predictions(folder): ...
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.api.protocols import Prediction
from harness.prediction.bundles import remove_bundle_files
from harness.prediction.cell import Cell
from harness.prediction.partials import remove_partials
from harness.runtime.provenance import provenance
from harness.runtime.stages import mark_done, write_lines

PREDICTIONS_FILE = "predictions.jsonl"
DECODED_TOGETHER = 4096
"Examples that are decoded in one call, where a type decodes each by itself."
_ENCODER = json.JSONEncoder(ensure_ascii=False, sort_keys=True)


def finish_cell(cell: Cell) -> None:
    """Decode a complete cell into predictions.jsonl and mark its stage done."""
    num_written = num_truncated = 0

    def lines() -> Iterator[str]:
        nonlocal num_written, num_truncated
        for prediction in _decoded(cell):
            num_written += 1
            num_truncated += prediction.num_truncated > 0
            yield _line(prediction)

    write_lines(cell.folder / PREDICTIONS_FILE, lines())
    facts = {
        "examples": num_written,
        "features": len(cell.features),
        "tokens": sum(cell.lengths),
        **cell.token_facts(),
        "truncated_examples": num_truncated,
        **cell.computing(),
        **provenance(),
    }
    facts["versions"] = {**facts["versions"], **cell.versions}
    mark_done(cell.stage, cell.folder.parent.parent, facts)
    cell.release()
    clean(cell.folder)


def _decoded(cell: Cell) -> Iterator[Prediction]:
    """The predictions of a cell, in the order of its examples."""
    features, examples = cell.features, cell.examples
    partials = cell.partials.read(len(features))
    assert partials is not None, f"{cell.stage.name}: features are missing"
    step = max(1, len(examples)) if cell.module.DECODES_TOGETHER else DECODED_TOGETHER
    for begin in range(0, len(examples), step):
        end = min(begin + step, len(examples))
        first, last = features.of_examples(begin, end)
        own = features.bare(first, last, first=begin)
        yield from cell.module.decode(examples[begin:end], own, partials[first:last], task=cell.spec, options=cell.options)


def clean(folder: Path) -> None:
    """Remove what only an unfinished prediction needs; called when done.json stands."""
    remove_partials(folder)
    remove_bundle_files(folder)


def _line(prediction: Prediction) -> str:
    record = {name: getattr(prediction, name) for name in Prediction.__slots__}
    for name in ("scores", "answer", "thoughts"):
        if record[name] is None:
            del record[name]
    return _ENCODER.encode(record) + "\n"


def read_predictions(folder: Path) -> Iterator[dict[str, Any]]:
    """The lines of a finished cell's predictions.jsonl."""
    with (folder / PREDICTIONS_FILE).open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)
