"""The score stage: predictions of one (task, language) in, score.json and stats.npz out; neither a model nor torch is needed.

    cell = score_cell(lines, metrics=["squad"], score=["squad.f1", "squad.exact_match"], lang="de", num_expected=1190)
    write_score(cell, folder)
    score_files.read_stats(folder)["squad"]        # float64 [n, K]: intervals and paired tests start here, never at the model

Files hold the same bytes for the same predictions.
"""

import io
import json
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harness.api.errors import UserError, did_you_mean, raise_all
from harness.api.registry import METRICS
from harness.scoring.bootstrap import Interval, interval
from harness.scoring.lines import Counts, SeenLines, blocks_of_lines, check_lines
from harness.scoring.sums import ordered_total

SCORE_FILE = "score.json"
STATS_FILE = "stats.npz"
IDS = "ids"


@dataclass(frozen=True, kw_only=True, slots=True)
class MetricScore:
    """One number of one metric."""

    value: float
    "0-100."
    low: float
    "Lower end of the 95% bootstrap interval over examples."
    high: float
    "Upper end."
    n: int
    "Examples behind it."
    signature: str
    "What exactly was computed."


@dataclass(frozen=True, kw_only=True, slots=True)
class CellScore:
    """Everything that is kept of the predictions of one cell."""

    metrics: dict[str, MetricScore]
    "By `metric.key`."
    score: Interval
    "The task's score: mean of its `score` keys."
    counts: Counts
    prediction_entropy: float | None
    "Bits, over the predicted labels of examples whose gold is one label; None for other kinds of prediction."
    single_class: bool | None
    "True if one label was predicted throughout; None for other kinds of prediction."
    ids: tuple[str, ...]
    "Example ids, in the order of the predictions."
    stats: dict[str, np.ndarray]
    "By metric: float64 [n, K], the additive statistics of each example."
    prepared: dict[str, Any]
    "By metric, of those that look at all examples before they score any (thresholds): what they found; `settings` of score.json."

    def report(self) -> dict[str, Any]:
        """What score.json holds; `settings` only where a metric has some."""
        settings = {"settings": self.prepared} if self.prepared else {}
        return {
            "metrics": {key: asdict(value) for key, value in self.metrics.items()},
            "score": self.score._asdict(),
            "counts": asdict(self.counts),
            "prediction_entropy": self.prediction_entropy,
            "single_class": self.single_class,
            **settings,
        }


def score_cell(
    predictions: Iterable[Mapping[str, Any]],
    *,
    metrics: Sequence[str],
    score: Sequence[str],
    lang: str,
    num_expected: int,
    seed: int = 0,
) -> CellScore:
    """Score the lines of a predictions.jsonl (fields of Prediction), in their order; `seed` is that of the bootstrap.

    Raises UserError for unknown metrics or score keys, another number of lines than expected, an id that comes twice or a line
    without gold.
    """
    keys = score_keys(metrics, score)
    looks_at_all = any(METRICS.load(name).prepare for name in metrics)
    seen, parts = SeenLines(), {name: list[np.ndarray]() for name in metrics}
    prepared: dict[str, Any] = {}
    failed: dict[str, UserError] = {}
    for lines in [list(predictions)] if looks_at_all else blocks_of_lines(predictions):
        seen.add(lines)
        if looks_at_all:
            seen.check(num_expected)
            prepared = {name: found for name in metrics if (found := _prepared(name, lines, lang)) is not None}
        for name in metrics:
            if name not in failed and not seen.bare:
                try:
                    parts[name].append(_stats(name, lines, lang, prepared.get(name)))
                except UserError as error:  # lines that are not there at all are told first
                    failed[name] = error
    seen.check(num_expected)
    for name in metrics:
        if name in failed:
            raise failed[name]
    stats = {name: np.concatenate(own) for name, own in parts.items()}
    numbers: dict[str, MetricScore] = {}
    for name, rows in stats.items():
        metric = METRICS.load(name)
        for key, value in interval(rows, metric.combine, seed=seed).items():
            numbers[f"{name}.{key}"] = MetricScore(**value._asdict(), n=len(seen.ids), signature=metric.SIGNATURE)
    table, combine = score_table(stats, keys)
    entropy, single_class = seen.label_spread()
    return CellScore(
        metrics=numbers,
        score=interval(table, combine, seed=seed)["score"],
        counts=seen.counts(),
        prediction_entropy=entropy,
        single_class=single_class,
        ids=tuple(map(str, seen.ids)),
        stats=stats,
        prepared=prepared,
    )


def score_value(predictions: Iterable[Mapping[str, Any]], *, metrics: Sequence[str], score: Sequence[str], lang: str) -> float:
    """Compute the score (0-100) alone, without an interval: what model selection needs, many times."""
    keys, lines = score_keys(metrics, score), list(predictions)
    check_lines(
        [line["id"] for line in lines], bare=[line["id"] for line in lines if line["gold"] is None], num_expected=len(lines)
    )
    table, combine = score_table({name: _stats(name, lines, lang, _prepared(name, lines, lang)) for name in metrics}, keys)
    return float(combine(ordered_total(table))["score"])


def score_keys(metrics: Sequence[str], score: Sequence[str]) -> tuple[str, ...]:
    """Return the `metric.key` names whose mean is the task's score, by default the first key of the first metric.

    Raises UserError for unknown metrics, none at all, and names that these metrics do not give.
    """
    if not metrics:
        raise UserError("the task has no metrics", expected="at least one name under `metrics`")
    modules = {name: METRICS.load(name) for name in metrics}
    known = [f"{name}.{key}" for name, module in modules.items() for key in module.KEYS]
    unknown = [key for key in score if key not in known]
    raise_all([UserError(f"no score '{key}' in the metrics of the task", todo=did_you_mean(key, known)) for key in unknown])
    return tuple(score) or (known[0],)


def score_table(
    stats: Mapping[str, np.ndarray], keys: Sequence[str]
) -> tuple[np.ndarray, Callable[[np.ndarray], dict[str, np.ndarray]]]:
    """Lay the stats of the metrics that `keys` name side by side [n, K], and return how totals [..., K] give {"score": [...]}.

    This is what harness.scoring.bootstrap resamples for the task's score and for differences of it.
    """
    names = list(dict.fromkeys(key.split(".")[0] for key in keys))
    combines = [_combine_of(name) for name in names]
    ends = np.cumsum([stats[name].shape[1] for name in names])[:-1]

    def combine(totals: np.ndarray) -> dict[str, np.ndarray]:
        parts = zip(names, combines, np.split(totals, ends, axis=-1), strict=True)
        found = {f"{name}.{key}": value for name, one, part in parts for key, value in one(part).items()}
        score = np.zeros(totals.shape[:-1])
        for key in keys:  # one by one, as the official scripts add up the measures of a task
            score = score + found[key]
        return {"score": score / len(keys)}

    return np.concatenate([stats[name] for name in names], axis=1), combine


def _combine_of(name: str) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
    """How the totals of a metric give its scores; a metric that is not here was the user's own when these were scored."""
    if not METRICS.knows(name):
        message, todo = f"these scores are of a metric of the user's own, '{name}'", f"--include_path DIR with metrics/{name}.py"
        raise UserError(message, expected="its code, to add them up", todo=f"give {todo} as it was, and --trust_metric_code")
    combine: Callable[[np.ndarray], dict[str, np.ndarray]] = METRICS.load(name).combine
    return combine


def write_score(cell: CellScore, folder: Path) -> None:
    """Write score.json and stats.npz into the folder, which is made if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(cell.report(), ensure_ascii=False, allow_nan=False, indent=1, sort_keys=True)
    (folder / SCORE_FILE).write_text(text + "\n", encoding="utf-8")
    arrays = {IDS: np.array(cell.ids, dtype=np.str_), **cell.stats}
    with zipfile.ZipFile(folder / STATS_FILE, "w") as archive:
        for name, array in arrays.items():
            content = io.BytesIO()
            np.lib.format.write_array(content, array, version=(1, 0), allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy")  # its date is fixed (1980) and it is stored as it is: the same bytes anywhere
            entry.create_system = 3
            archive.writestr(entry, content.getvalue())


def _prepared(name: str, lines: Sequence[Mapping[str, Any]], lang: str) -> dict[str, Any] | None:
    """What a metric finds on all examples before it scores each (thresholds); None if it looks at none."""
    prepare = METRICS.load(name).prepare
    if prepare is None:
        return None
    try:
        found: dict[str, Any] = prepare([line["prediction"] for line in lines], [line["gold"] for line in lines], lang=lang)
    except UserError as error:
        raise error.at(f"metric {name}, language {lang}") from error
    return found


def stats_of(
    metric: Any,
    predictions: Sequence[Any],
    golds: Sequence[Any],
    *,
    lang: str,
    prepared: Mapping[str, Any] | None = None,
    where: Callable[[int], str] | None = None,
) -> np.ndarray:
    """Statistics float64 [n, K] of examples, all at once where the metric can; a UserError says `where` its example stands."""
    more = {} if prepared is None else {"prepared": prepared}
    if metric.all_stats is not None:
        with suppress(UserError):  # which example it is is found out one by one
            return np.asarray(metric.all_stats(predictions, golds, lang=lang, **more), dtype=np.float64)
    rows = []
    for number, (prediction, gold) in enumerate(zip(predictions, golds, strict=True)):
        try:
            rows.append(metric.stats(prediction, gold, lang=lang, **more))
        except UserError as error:
            if where is None:
                raise
            raise error.at(where(number)) from error
    return np.array(rows, dtype=np.float64)


def _stats(name: str, lines: Sequence[Mapping[str, Any]], lang: str, prepared: Mapping[str, Any] | None) -> np.ndarray:
    """Statistics float64 [n, K] of all examples; a UserError of the metric names the example."""
    predictions, golds = [line["prediction"] for line in lines], [line["gold"] for line in lines]

    def where(number: int) -> str:
        return f"metric {name}, language {lang}, example '{lines[number]['id']}'"

    return stats_of(METRICS.load(name), predictions, golds, lang=lang, prepared=prepared, where=where)
