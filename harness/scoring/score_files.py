"""What a score stage has written, as boards and comparisons read it back; a file that is not so costs words, never a traceback.

read_score(folder)["score"]["value"], read_stats(folder)["squad"]        # 71.2, float64 [n, K]
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from harness.api.errors import UserError
from harness.api.json_text import read_json_file
from harness.api.registry import METRICS
from harness.scoring.score import IDS, SCORE_FILE, STATS_FILE

_TODO = "remove the folder, and run the command that made it again"
_INTERVAL = ("value", "low", "high")
_COUNTS = ("examples", "missing", "truncated_examples", "truncated_tokens")


def read_score(folder: Path) -> dict[str, Any]:
    """Read a score.json: `score`, `metrics`, `counts` and what predictions look like; raises UserError for one that is not so."""
    found: dict[str, Any] = read_json_file(folder / SCORE_FILE, kind=dict)
    score, metrics, counts = found.get("score"), found.get("metrics"), found.get("counts")
    is_right = (
        _is_interval(score)
        and isinstance(metrics, dict)
        and all(_is_metric(metric) for metric in metrics.values())
        and isinstance(counts, dict)
        and all(_is_number(counts.get(name)) for name in _COUNTS)
        and isinstance(counts.get("notes"), dict)
        and all(map(_is_number, counts["notes"].values()))
        and found.get("single_class") in (None, True, False)
        and (found.get("prediction_entropy") is None or _is_number(found["prediction_entropy"]))
    )
    if not is_right:
        raise UserError("not a score as the score stage writes it", where=str(folder / SCORE_FILE), todo=_TODO)
    return found


def _is_interval(value: Any) -> bool:
    return isinstance(value, dict) and all(_is_number(value.get(name)) for name in _INTERVAL)


def _is_metric(value: Any) -> bool:
    return _is_interval(value) and _is_number(value.get("n")) and isinstance(value.get("signature"), str)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def read_stats(folder: Path) -> dict[str, np.ndarray]:
    """Read a stats.npz: "ids" (text [n]), and by metric the statistics float64 [n, K]; raises UserError for another."""
    found = _arrays(folder)
    if any(
        stats.ndim != 2 or len(stats) != len(found[IDS]) or stats.dtype.kind != "f"
        for name, stats in found.items()
        if name != IDS
    ):
        raise UserError("not statistics as the score stage writes them", where=str(folder / STATS_FILE), todo=_TODO)
    for name in METRICS.own().keys() & found.keys():
        _check_code(name, folder)
    return found


def _check_code(name: str, folder: Path) -> None:
    """Raise UserError for statistics of a metric of the user's own whose code is another now: it would add them up otherwise."""
    signature = METRICS.load(name).SIGNATURE
    there = {value["signature"] for key, value in read_score(folder)["metrics"].items() if key.partition(".")[0] == name}
    if there != {signature}:
        raise UserError(
            f"the code of metric '{name}' is not the code that scored",
            where=str(folder),
            expected=", ".join(sorted(there)),
            found=signature,
            todo="give the command that made these scores again, or the code that it had",
        )


def read_ids(folder: Path) -> np.ndarray:
    """The ids alone, text [n]; raises UserError."""
    return _arrays(folder, (IDS,))[IDS]


def _arrays(folder: Path, names: Sequence[str] = ()) -> dict[str, np.ndarray]:
    """Arrays of a stats.npz, all or those of these names, the ids among them."""
    try:
        with (folder / STATS_FILE).open("rb") as file, np.load(file, allow_pickle=False) as archive:
            found = {name: archive[name] for name in names or archive.files}
        is_right = found[IDS].ndim == 1 and found[IDS].dtype.kind == "U"
    except Exception as error:  # of zipfile, zlib and numpy, for whatever the bytes may be
        raise UserError(
            "statistics that cannot be read", where=str(folder / STATS_FILE), found=str(error)[:120], todo=_TODO
        ) from error
    if not is_right:
        raise UserError("not statistics as the score stage writes them", where=str(folder / STATS_FILE), todo=_TODO)
    return found
