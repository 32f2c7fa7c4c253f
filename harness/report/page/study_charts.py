"""The charts of a study: lifts by size, scores by size, and a forest of lifts over targets and languages.

charts = study_charts(document)         # a list of what charts.py makes, without those that would be empty
"""

import math
from collections.abc import Mapping
from typing import Any

from harness.api.protocols import Json
from harness.report.page.charts import by_size, forest, select
from harness.report.page.study_words import UNITS, label

MEAN = "mean over the backbones"
_ROWS = {
    "zero_shot": "Targets",
    "english": "Targets in English",
    "xtreme": "Targets",
    "same_task": "Same task",
    "target": "Targets",
    "category": "Kinds of task",
    "family": "Language families",
    "script": "Scripts",
    "covered": "Covered by pretraining",
}
_MEANS = {"zero_shot": "all languages but English", "english": "English", "all": "all languages"}


def study_charts(document: Mapping[str, Json]) -> list[dict[str, Any]]:
    """All charts of a study."""
    id_ = f"study-{document['study']}"
    found = [_lifts_by_size(document, id_), _forest(document, id_), _scores_by_size(document, id_)]
    return [chart for chart in found if chart["rows"]]


def _scales(document: Mapping[str, Json]) -> list[str]:
    """The scale of the verdicts first."""
    return [document["fixed"]["scale"], *(scale for scale in UNITS if scale != document["fixed"]["scale"])]


def _lifts_by_size(document: Mapping[str, Json], id_: str) -> dict[str, Any]:
    sizes = {one["backbone"]: one for one in document["backbones"]}
    rows = []
    for scale in _scales(document):
        for entry in document["lifts"]:
            found = entry["scales"][scale]
            if found is None:
                continue
            shared = {"setting": entry["setting"], "over": label(entry), "scale": UNITS[scale]}
            for one in found["backbones"]:
                member = sizes[one["backbone"]]
                own = {"backbone": one["backbone"], "family": member["family"], "size": member["size"], "part": "point"}
                rows.append({**shared, **own, **{key: one["lift"][key] for key in ("value", "low", "high")}})
            for one in found["families"]:
                rows += [{**shared, "family": one["family"], **row} for row in _fitted(one["line"], document["fixed"])]
    fitted = any(row["part"] == "line" for row in rows)
    about = "Score with the intermediate phase minus score without it, with its interval, a point a backbone. Above 0 it helps."
    about += " Dashed: the fitted line, with hollow marks at the sizes that the verdicts compare." if fitted else ""
    return by_size(
        rows,
        id_=f"{id_}-lifts",
        title="How the lift changes with size",
        about=about,
        axis="lift",
        selects=[select("over", "Over", rows), select("setting", "Setting", rows, everything="all"),
                 select("family", "Family of models", rows, everything="all"), select("scale", "In", rows)],
    )  # fmt: skip


def _fitted(line: Mapping[str, Json] | None, fixed: Mapping[str, Json]) -> list[dict[str, Any]]:
    """The ends of a family's line, and what it says at the two sizes of the verdicts."""
    if line is None or line["slope"] is None:
        return []
    known = [(fixed[name], line[name]) for name in ("reference", "target") if fixed[name] and line[name]]
    if not known:
        return []
    size, through = known[0]
    ends = sorted({line["smallest"], line["largest"], *(at for at, _ in known)})
    rows = [
        {
            "backbone": "fitted line",
            "size": end,
            "value": through["value"] + line["slope"]["value"] * (math.log10(end) - math.log10(size)),
            "low": None,
            "high": None,
            "part": "line",
        }
        for end in (ends[0], ends[-1])
    ]
    return rows + [
        {"backbone": "fitted line", "size": at, "part": "at", **{key: one[key] for key in ("value", "low", "high")}}
        for at, one in known
    ]


def _forest(document: Mapping[str, Json], id_: str) -> dict[str, Any]:
    rows = []
    for scale in _scales(document):
        for entry in document["lifts"]:
            found = entry["scales"][scale]
            if found is None:
                continue
            shared = {
                "setting": entry["setting"],
                "label": label(entry),
                "rows": _ROWS.get(entry["kind"], entry["kind"]),
                "scale": UNITS[scale],
            }
            if found["mean"]:
                mean = {key: found["mean"][key] for key in ("value", "low", "high")}
                rows.append({**shared, "of": MEAN, **mean})
            rows += [
                {**shared, "of": one["backbone"], **{key: one["lift"][key] for key in ("value", "low", "high")}}
                for one in found["backbones"]
            ]
    return forest(
        rows,
        id_=f"{id_}-forest",
        title="Where it helps most and least",
        about="Lift of each target, or group of languages or tasks, with its interval; one that does not touch 0 is sure.",
        axis="lift",
        selects=[select("rows", "Rows", rows), select("of", "Of", rows, default=MEAN), select("scale", "In", rows)],
    )


def _scores_by_size(document: Mapping[str, Json], id_: str) -> dict[str, Any]:
    sizes = {one["backbone"]: one for one in document["backbones"]}
    rows = []
    for mean, words in _MEANS.items():
        for entry in document["scores"]:
            one = entry["means"][mean]
            if one is None:
                continue
            member = sizes[entry["backbone"]]
            own = {"backbone": entry["backbone"], "family": member["family"], "size": member["size"], "part": "point"}
            shared = {"setting": entry["setting"], "target": entry["target"], "mean": words}
            rows.append({**shared, **own, **{key: one[key] for key in ("value", "low", "high")}})
    for one in document["references"]:
        if one["size"]:
            own = {"backbone": one["model"], "family": "published", "size": one["size"], "value": one["value"], "part": "point"}
            shared = {"setting": f"published: {one['method']}", "target": one["task"], "mean": _MEANS["all"]}
            rows.append({**shared, **own, "low": None, "high": None})
    return by_size(
        rows,
        id_=f"{id_}-scores",
        title="How scores change with size",
        about="Scores (0 to 100) of each backbone with each intermediate setting; grey is without an intermediate phase.",
        axis="score",
        selects=[select("target", "Target", rows), select("mean", "Mean over", rows),
                 select("family", "Family of models", rows, everything="all")],
    )  # fmt: skip
