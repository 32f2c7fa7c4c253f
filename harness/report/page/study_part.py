"""What the page says of a study: verdicts, what each setting did, the charts' rows, what is missing; from study.json alone.

    part, wrong = study_part(Path("runs/scaling"))
    part["verdicts"][0]["question"], part["charts"]

A folder without study.json has no part; a study.json that cannot be read has none either, and the page says why.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.api.errors import UserError
from harness.api.json_text import read_json_file
from harness.api.protocols import Json
from harness.report.page.study_charts import study_charts
from harness.report.page.study_words import (
    OPEN,
    TONES,
    UNITS,
    answer,
    label,
    listed_first,
    numbers,
    parameters,
    question,
    span,
    sureness,
)

STUDY_FILE = "study.json"
_NO_ADVICE = "Nothing that was tried would decide it (up to 20 more seeds, more test examples, other sizes)."
VERSION = 1
"Of the shape of study.json that is read here."


def study_part(folder: Path) -> tuple[dict[str, Any] | None, str]:
    """What a template shows of the study of a run folder, and what is wrong with its file (empty: nothing)."""
    path = folder / STUDY_FILE
    if not path.exists():
        return None, ""
    try:
        document = read_json_file(path, kind=dict)
        if document.get("schema_version") != VERSION:
            return None, f"{STUDY_FILE} of {folder.name} is of another version: {document.get('schema_version')!r}, not {VERSION}"
        return _part(document), ""
    except UserError as error:
        return None, f"{STUDY_FILE} of {folder.name} cannot be read: {error.message}; give the study's command again"
    except (KeyError, TypeError, AttributeError, ValueError, IndexError) as error:
        what = f"{type(error).__name__}: {error}"[:120]
        return None, f"{STUDY_FILE} of {folder.name} is not what a study writes ({what}); give the study's command again"


def _part(document: Mapping[str, Json]) -> dict[str, Any]:
    fixed = document["fixed"]
    return {
        "name": document["study"],
        "description": document["description"],
        "warnings": _warnings(document),
        "design": _design(document),
        "verdicts": [_verdict(entry, fixed) for entry in document["hypotheses"]],
        "settings": _settings(document),
        "charts": study_charts(document),
        "remarks": _remarks(document),
        "missing": [
            {
                **{key: one[key] for key in ("setting", "backbone", "target", "count", "why")},
                "languages": listed_first(one["languages"]),
                "seeds": ", ".join(map(str, one["seeds"])),
            }
            for one in document["missing"]["scores"]
        ],
        "num_missing": document["missing"]["count"],
        "backbones": [
            {
                **{key: one[key] for key in ("backbone", "family", "method", "contamination")},
                "size": parameters(one["size"]),
                "facts": "; ".join(f"{key}: {text}" for key, text in one["facts"].items()),
            }
            for one in document["backbones"]
        ],
    }


def _warnings(document: Mapping[str, Json]) -> list[dict[str, str]]:
    """`kind` and `text` of what must be said before any number."""
    missing, degenerate = document["missing"]["count"], len(document["degenerate"])
    found = {
        "synthetic": "Synthetic: the data are made up. This shows how the tool works, and says nothing of languages or models."
        if document["synthetic"]
        else "",
        "partial": "Partial: some test sets are samples of their rows; every number is for these." if document["partial"] else "",
        "note": document["note"],
        "missing": f"{missing:,} scores are missing; what rests on them is missing too (listed below)." if missing else "",
        "degenerate": f"{degenerate} results (seeds of a setting, backbone and target) rest on trainings that learnt nothing."
        if degenerate
        else "",
        "not looked": ""
        if document["look"]["taken"]
        else f"Nothing is decided: {document['look']['why_not']}. Estimates are shown all the same.",
        "changed": "Verdicts or hypotheses were changed after the first look at results: they were not fixed beforehand, and "
        "their error level does not hold."
        if document["fixed"]["changed_since_first_look"]
        else "",
    }
    return [{"kind": kind, "text": text} for kind, text in found.items() if text]


def _design(document: Mapping[str, Json]) -> str:
    own = [one for one in document["backbones"] if not one["bridges"]]
    languages = {lang for one in document["targets"] for lang in one["languages"]}
    counts = [
        (len(own), "backbone"),
        (len({one["family"] for one in own}), "family"),
        (len([name for name in document["settings"] if name != "none"]), "intermediate setting"),
        (len(document["targets"]), "target"),
        (len(languages), "language"),
        (len(document["seeds"]), "seed"),
    ]
    words = [f"{number} {what}" if number == 1 else f"{number} {what.removesuffix('y')}{'ies' if what.endswith('y') else 's'}"
             for number, what in counts]  # fmt: skip
    fixed = document["fixed"]
    return (
        f"{', '.join(words)}. Lifts in {UNITS[fixed['scale']]}; fixed beforehand: the smallest effect of interest "
        f"{fixed['margin']:g}, error level {fixed['alpha']:g} of all questions together. Intervals are of "
        f"{document['intervals']['level'] * 100:.0f} %, over test items and training seeds."
    )


def _verdict(entry: Mapping[str, Json], fixed: Mapping[str, Json]) -> dict[str, Any]:
    families = [one for one in entry["families"] if one["verdict"]]
    advice = entry["advice"]
    return {
        "name": entry["name"],
        "verdict": entry["verdict"],
        "tone": TONES.get(entry["verdict"], OPEN),
        "question": question(entry, fixed),
        "answer": answer(entry, fixed),
        "numbers": numbers(entry, fixed),
        "unit": entry["question"]["unit"],
        "families": [f"{one['family']}: {one['verdict']}" for one in families] if len(families) > 1 else [],
        "details": [
            *_rests_on(entry),
            *(f"Read otherwise: {text}." for text in entry["disagreements"]),
            *(f"Left out: {one['why']}." for one in entry["left_out"]),
            *(f"Without {one['backbone']}: {one['why']}." for one in entry["without"]),
            *(f"Not read {one['reading']}: {one['why']}." for one in entry["readings"] if one["verdict"] is None),
            *(f"Beside size, backbones differ: {text}" for text in entry["confounds"]),
        ],
        "advice": _advice(advice) if advice else "",
    }


def _rests_on(entry: Mapping[str, Json]) -> list[str]:
    seeds = entry["num_seeds"]
    num = f"{seeds['fewest']}" if seeds["fewest"] == seeds["most"] else f"{seeds['fewest']} to {seeds['most']}"
    found = [
        f"It rests on {len(entry['backbones'])} backbones, {num} training seeds, {entry['cells']} cells and "
        f"{entry['examples']:,} test examples."
    ]
    if entry["p"] is not None:
        found.append(
            f"p {entry['p']:.2g}; as one of several questions {entry['adjusted_p']:.2g}, tested at {entry['alpha']:.2g}."
        )
    if entry["kept"]:
        found.append(f"Decided at look {entry['kept']['look']}, which stands; these data say: {entry['now'] or 'nothing new'}.")
    return found


def _advice(advice: Mapping[str, Json]) -> str:
    options = [one["text"] for one in advice["options"]]
    would = f"What would decide it: {'; or '.join(options)}." if options else _NO_ADVICE
    return would if advice["next_look"] else f"{would} But {advice['said']}."


def _settings(document: Mapping[str, Json]) -> list[dict[str, Any]]:
    """Of each setting: did it help, where most and least, how does it change with size."""
    scale = document["fixed"]["scale"]
    by_setting: dict[str, list[Mapping[str, Json]]] = {}
    for entry in document["lifts"]:
        by_setting.setdefault(entry["setting"], []).append(entry)
    return [
        {"setting": setting, "lines": _setting_lines(entries, scale, document["fixed"])}
        for setting, entries in by_setting.items()
    ]


def _setting_lines(entries: Sequence[Mapping[str, Json]], scale: str, fixed: Mapping[str, Json]) -> list[tuple[str, str]]:
    """Pairs of a short question and its answer."""
    lines, unit = [], UNITS[scale]
    overall = next((one for one in entries if one["kind"] == "zero_shot" and one["group"] == "all targets"), None)
    found = overall["scales"][scale] if overall else None
    if found and found["mean"]:
        mean = found["mean"]
        lines.append(("Did it help?", f"{span(mean)} {unit} over all targets, zero-shot; {sureness(mean['low'], mean['high'])}."))
    elif found and found["backbones"]:
        each = ", ".join(f"{one['backbone']} {span(one['lift'])}" for one in found["backbones"])
        lines.append(("Did it help?", f"{each} {unit}, zero-shot; no mean: {found['why_no_mean']}."))
    elif overall:
        lines.append(("Did it help?", f"Not to be said: {overall['refused'].get(scale, 'no backbone has a lift')}."))
    lines += _extremes([one for one in entries if one["kind"] == "target"], scale, unit, "targets")
    lines += _extremes([one for one in entries if one["kind"] == "family"], scale, unit, "language families")
    for one in found["families"] if found else ():
        if one["line"] and one["line"]["slope"]:
            slope = one["line"]["slope"]
            at = [
                f"{span(one['line'][name])} at {parameters(fixed[name])}"
                for name in ("reference", "target")
                if fixed[name] and one["line"][name]
            ]
            said = f"{span(slope)} {unit} for ten times the size ({sureness(slope['low'], slope['high'])})"
            lines.append((f"With size ({one['family']})", f"{said}; {', '.join(at)}." if at else f"{said}."))
        elif one["why"]:
            lines.append((f"With size ({one['family']})", f"No line: {one['why']}."))
    return lines


def _extremes(entries: Sequence[Mapping[str, Json]], scale: str, unit: str, what: str) -> list[tuple[str, str]]:
    """Where the lift is largest and where smallest, of several."""
    found = [(one["scales"][scale], label(one)) for one in entries]
    means = [(scaled["mean"], name) for scaled, name in found if scaled and scaled["mean"]]
    if len(means) < 2:
        return []
    means.sort(key=lambda pair: -pair[0]["value"])
    most, least = means[0], means[-1]
    said = f"most {most[1]} {span(most[0])}, least {least[1]} {span(least[0])} {unit}, of {len(means)}."
    return [(f"Most and least ({what})", said)]


def _remarks(document: Mapping[str, Json]) -> list[str]:
    """Further lists: rates at an edge, trainings that learnt nothing, backbones trained by two methods."""
    found = [
        f"Learning rate at the edge of its grid: {one['rate']:g} for {one['setting']}, {one['backbone']}, "
        f"{one['target'] or 'intermediate phases'}; a better one may lie outside."
        for one in document["learning_rates"]
        if one["at_edge"]
    ]
    learnt: dict[tuple[str, str], list[str]] = {}
    for one in document["degenerate"]:
        learnt.setdefault((one["arm"], one["task"]), []).append(f"{one['backbone']} (seed {one['seed']})")
    found += [f"Learnt nothing: {task} after {arm}: {listed_first(names)}." for (arm, task), names in learnt.items()]
    found += [
        f"{one['backbone']} by two methods, {one['setting']}, {label(one)}: "
        + (f"difference {span(one['difference'])}" if one["difference"] else f"not compared: {one['why']}")
        + f" ({' against '.join(one['methods'])})."
        for one in document["bridges"]
        if one["kind"] == "zero_shot"
    ]
    return found
