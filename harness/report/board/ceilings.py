"""Right answers that cannot score 100 by their own metric, found where the oracle, which answers rightly, does not reach 100.

ceilings(cells, material.models)      # [{'task': 'mlqa', 'lang': 'es', 'examples': 1, 'of': 5253, 'golds': ["['una']"], ...}]

A gold answer "una" of MLQA has no word left once articles are dropped, so that no answer shares a word with it: its F1 is 0, by
the official script too.
"""

import json
from collections.abc import Mapping, Sequence

import numpy as np

from harness.api.protocols import Json
from harness.report.board.lifts import ScoredCell
from harness.report.record.schema import RequestedModel, RequestedTask
from harness.scoring.bootstrap import ROUNDING
from harness.scoring.score import IDS, score_table
from harness.scoring.score_files import read_stats

ORACLE = "oracle"
"Name of the fake that answers with the gold."
SHOWN = 3
"Examples that are told."
_LONGEST = 60


def ceilings(
    cells: Sequence[ScoredCell], models: Mapping[str, RequestedModel], tasks: Mapping[str, RequestedTask]
) -> list[dict[str, Json]]:
    """One entry for each task and language in which the oracle is below 100."""
    found = []
    for cell in cells:
        model = models.get(cell.asked.key.model)
        is_oracle = cell.asked.key.model == ORACLE and model is not None and model.adapter == "fake"
        if is_oracle and cell.asked.folder is not None and cell.estimate.value < 100 - ROUNDING:
            found.append(_ceiling(cell, tasks[cell.asked.key.task]))
    return found


def _ceiling(cell: ScoredCell, task: RequestedTask) -> dict[str, Json]:
    """The examples that lower the score where they stand beside one that is answered to the full."""
    assert cell.asked.folder is not None
    stats = read_stats(cell.asked.folder)
    ids = stats.pop(IDS)
    table, combine = score_table(stats, task.score)
    each = np.asarray(combine(table)["score"])
    full = np.flatnonzero(each >= 100 - ROUNDING)
    beside = np.asarray(combine(table + table[full[0]])["score"]) if len(full) else each
    short = [str(id_) for id_ in ids[np.flatnonzero(beside < 100 - ROUNDING)].tolist()]
    return {
        "task": cell.asked.key.task,
        "lang": cell.asked.key.lang,
        "score": cell.estimate.value,
        "examples": len(short),
        "of": len(ids),
        "ids": short[:SHOWN],
        "golds": _golds(cell, short[:SHOWN]),
    }


def _golds(cell: ScoredCell, ids: Sequence[str]) -> list[str]:
    """The right answers of some examples as text, where their predictions still lie beside the score."""
    assert cell.asked.folder is not None
    path = cell.asked.folder.parents[1] / str(cell.asked.predict) / "predictions.jsonl"
    golds: dict[str, str] = {}
    try:
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                held = json.loads(line)
                if str(held["id"]) in ids:
                    golds[str(held["id"])] = _text(held["gold"], held["prediction"])
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return [golds[id_] for id_ in ids if id_ in golds]


def _text(gold: Json, prediction: Json) -> str:
    """The gold, and the oracle's answer where it is no part of it."""
    texts = [json.dumps(value, ensure_ascii=False)[:_LONGEST] for value in (gold, prediction)]
    is_among = prediction == gold or (isinstance(gold, list) and prediction in gold)
    return texts[0] if is_among else f"{texts[0]} answered by {texts[1]}"


def ceiling_notes(board: Mapping[str, Json]) -> list[str]:
    """Why the oracle does not reach 100, by task and language."""
    return [
        f"{ORACLE}, {entry['task']} in {entry['lang']}: {entry['score']:.2f} is the most there is: {entry['examples']:,} of "
        f"{entry['of']:,} examples cannot be answered to the full, by the metric's rules (those of the official script) or in "
        f"the form of the task's type: {_shown(entry)}."
        for entry in board["ceilings"]
    ]


def _shown(entry: Mapping[str, Json]) -> str:
    texts = [f"{gold} (id {id_})" for id_, gold in zip(entry["ids"], entry["golds"])] or [f"id {id_}" for id_ in entry["ids"]]
    more = entry["examples"] - len(texts)
    return ", ".join(texts) + (f" and {more:,} more" if more > 0 else "")
