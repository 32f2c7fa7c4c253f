"""study.json in plain words, for the terminal: what it is, verdicts with their numbers, lifts by size, what to mind.

    print_results = text(results.document)

Everything that it says stands in the document, which is read alone: a document of an earlier run prints the same.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

from harness.api.escaping import visible
from harness.api.protocols import Json
from harness.data.languages import in_order
from harness.study.results.confound_texts import AT_EDGE
from harness.study.results.text_numbers import NOTHING, amount, counted, number, parameters, span
from harness.study.results.text_tables import WIDTH, filled, lift_tables
from harness.study.statistics.scales import UNITS

_NAMED = 5
"Of a longer list so many are named."
_DIFFER = 0.1
"p-value of Cochran's Q below which it is said that families differ."
_CORRECTIONS = {"holm": "by Holm's method", "fdr": "by the false discovery rate", "none": "not shared between them"}


def text(document: Mapping[str, Json], *, width: int = WIDTH) -> str:
    """The whole text, its prose in lines of so many columns."""
    parts = [
        filled(_head(document), width),
        filled(_verdicts(document), width),
        *lift_tables(document, width=width),
        filled(_section("Backbones trained by two methods", _bridges(document)), width),
        filled(_section("Learning rates at the edge of their grid: a better one may lie outside", _edges(document)), width),
        filled(_section("Learning rates that no trial chose", document["not_chosen"]), width),
        filled(_section("Retrieval by layer, as a fraction of depth", _layers(document)), width),
        filled(_section("Trainings that learnt nothing", _degenerate(document)), width),
        filled(_section(f"Missing: {counted(document['missing']['count'], 'score')}", _missing(document)), width),
        filled(_section("Left out, for their data are not here", _left_out(document)), width),
        filled(_section("What differs between backbones beside their size", _confounds(document)), width),
    ]
    return visible("\n\n".join(part for part in parts if part)) + "\n"


def _section(title: str, lines: Sequence[str]) -> str:
    """A heading with its lines, shortened; nothing where there is none."""
    more = [f"  and {len(lines) - _NAMED} more in study.json"] if len(lines) > _NAMED else []
    return "\n".join([title, *(f"  {line}" for line in lines[:_NAMED]), *more]) if lines else ""


def _head(document: Mapping[str, Json]) -> str:
    fixed, look = document["fixed"], document["look"]
    lines = [f"Study {document['study']}: {document['description']}"]
    if document["synthetic"]:
        lines.append("SYNTHETIC: the data are made up. This shows how the tool works and says nothing about languages or models.")
    if document["partial"]:
        lines.append("PARTIAL: some test sets are samples of their rows; every number is for these.")
    if document["note"]:
        lines.append(f"NOTE: {document['note']}")
    own = [one for one in document["backbones"] if not one["bridges"]]
    families = {one["family"] for one in own}
    languages = {lang for one in document["targets"] for lang in one["languages"]}
    lines.append(
        f"{counted(len(own), 'backbone')} of {counted(len(families), 'family', 'families')}, "
        f"{counted(len(document['settings']) - 1, 'intermediate setting')}, {counted(len(document['targets']), 'target')} in "
        f"{counted(len(languages), 'language')}, {counted(len(document['seeds']), 'seed')}; "
        f"intervals of 95 % over test items ({document['intervals']['draws']} draws) and seeds."
    )
    sizes = (
        ""
        if fixed["reference"] is None
        else f", from {parameters(fixed['reference'])} to {parameters(fixed['target'])} parameters"
    )
    lines.append(
        f"Fixed beforehand: smallest effect of interest {fixed['margin']:g} {UNITS[fixed['scale']]}{sizes}; error level "
        f"{fixed['alpha']:g} of {counted(len(document['hypotheses']), 'hypothesis', 'hypotheses')} together, "
        f"{_CORRECTIONS[fixed['correction']]}."
    )
    lines.append(_look(look))
    if fixed["changed_since_first_look"]:
        lines.append(
            "CHANGED: verdicts or hypotheses of the study's file are no longer those of the first look. What was changed after "
            "results were seen was not fixed beforehand, and its error level does not hold."
        )
    return "\n".join(lines)


def _look(look: Mapping[str, Json]) -> str:
    if look["taken"]:
        return f"Look {look['number']} of {look['planned']}, which may spend {look['alpha']:.3g} of the error level."
    return f"NOT LOOKED: {look['why_not']}. Estimates are shown, nothing is decided by them."


def _verdicts(document: Mapping[str, Json]) -> str:
    if not document["hypotheses"]:
        return "No hypotheses: the study's file claims nothing."
    return "\n\n".join(["Verdicts", *(_hypothesis(one, document) for one in document["hypotheses"])])


def _hypothesis(entry: Mapping[str, Json], document: Mapping[str, Json]) -> str:
    """One paragraph: verdict, numbers, level, families, other readings, what would decide."""
    said = [f"{entry['name']}: {entry['verdict']}."]
    if entry["kept"] and entry["now"] is not None and entry["now"] != entry["kept"]["verdict"]:
        said.append(f"Decided at look {entry['kept']['look']}, which stands; these data say: {entry['now']}.")
    elif entry["kept"]:
        said.append(f"Decided at look {entry['kept']['look']}, which stands.")
    if entry["why"]:
        said.append(f"Why: {entry['why']}.")
    if entry["numbers"]:
        settled = f"; shown: {entry['settled']}" if entry["settled"] else ""
        said.append(f"{_numbers(entry, document['fixed'])} {entry['question']['unit']}{settled}.")
        said.append(f"Over {_over(entry)}.")
    if entry["p"] is not None and entry["numbers"]:
        said.append(f"p {entry['p']:.2g}, adjusted {entry['adjusted_p']:.2g}; tested at {entry['alpha']:.2g}.")
    families = [one for one in entry["families"] if one["verdict"]]
    if len(families) > 1:
        said.append("By family: " + ", ".join(f"{one['family']} {one['verdict']}" for one in families) + ".")
    said += [
        f"Families differ ({name}: Q with p {one['q_p_value']:.2g}, I² {one['i2']:.0f} %)."
        for name, one in entry["heterogeneity"].items()
        if one["q_p_value"] < _DIFFER
    ]
    said += [f"Left out: {one['why']}." for one in entry["left_out"]]
    if entry["without"]:
        named = "; ".join(f"{one['backbone']}: {one['why']}" for one in entry["without"][:2])
        said.append(f"{counted(len(entry['without']), 'backbone')} without a lift: {named}.")
    said += [f"Read otherwise, {one}." for one in entry["disagreements"]]
    said += [f"Not read {one['reading']}: {one['why']}." for one in entry["readings"] if one["verdict"] is None]
    if entry["advice"]:
        said.append(_advice(entry["advice"]))
    return " ".join(said)


def _numbers(entry: Mapping[str, Json], fixed: Mapping[str, Json]) -> str:
    """Each number of a hypothesis with its interval."""
    if entry["question"]["asks"] == "scale":
        reference, target, change = entry["numbers"]
        return (
            f"Lift {span(reference)} at {parameters(fixed['reference'])}, {span(target)} at {parameters(fixed['target'])}, "
            f"change {span(change)}"
        )
    at = "" if entry["question"]["at"] == "mean" else f" at {parameters(fixed[entry['question']['at']])}"
    return "; ".join(f"{one['name']}{at}: {span(one)}" for one in entry["numbers"])


def _over(entry: Mapping[str, Json]) -> str:
    place, seeds = entry["question"]["over"], entry["num_seeds"]
    num = amount(seeds["most"]) if seeds["fewest"] == seeds["most"] else f"{seeds['fewest']} to {seeds['most']}"
    where = "all targets, all languages but English" if place["kind"] == "zero_shot" else f"{place['kind']} {place['group']}"
    apart = (
        f", apart from {', '.join(entry['same_task_apart'])}" if entry["same_task_apart"] and place["kind"] != "target" else ""
    )
    return (
        f"{where}{apart}: {counted(len(entry['backbones']), 'backbone')}, {num} {'seed' if num == '1' else 'seeds'}, "
        f"{counted(entry['cells'], 'cell')}, {counted(entry['examples'], 'test example')}"
    )


def _advice(advice: Mapping[str, Json]) -> str:
    options = advice["options"]
    if not options:
        said = "Nothing that was tried would decide it (up to 20 more seeds, more test examples, other sizes)."
    elif options[0]["verdict"] == "undecided":
        said = f"Needed first: {options[0]['text']}."
    else:
        said = "Would decide: " + "; or ".join(f"{one['text']} ({one['verdict']})" for one in options) + "."
    if advice["next_look"]:
        return f"{said} Look {advice['next_look']['number']} may spend {advice['next_look']['alpha']:.3g}."
    return f"{said} But {advice['said']}."


def _bridges(document: Mapping[str, Json]) -> list[str]:
    return [
        f"{one['backbone']}, {one['setting']}: {span(one['lifts'][0])} by {one['methods'][0]}, {span(one['lifts'][1])} by "
        f"{one['methods'][1]}, difference {span(one['difference'])}"
        if one["difference"]
        else f"{one['backbone']}, {one['setting']}: not compared: {one['why']}"
        for one in document["bridges"]
        if one["kind"] == "zero_shot"
    ]


def _edges(document: Mapping[str, Json]) -> list[str]:
    """A line a backbone: how many of its choices, and which rates."""
    found: dict[str, list[Mapping[str, Json]]] = {}
    for one in document["learning_rates"]:
        found.setdefault(one["backbone"], []).append(one)
    lines = []
    for backbone, rates in found.items():
        edges = [one for one in rates if one["at_edge"]]
        at = ", ".join(f"{number(rate)} in {of}" for rate, of in Counter(one["rate"] for one in edges).items())
        lines += [f"{backbone}: {len(edges)} of {len(rates)} choices ({at})"] if edges else []
    return lines


def _layers(document: Mapping[str, Json]) -> list[str]:
    return [
        f"{one['target']}, {one['backbone']}, {one['setting']}: "
        + ", ".join(f"{layer['fraction']:g}: {_score(layer)}" for layer in one["layers"])
        for one in document["layers"]
    ]


def _score(layer: Mapping[str, Json]) -> str:
    return f"{layer['score']:.1f}" if layer["score"] is not None else f"{counted(layer['missing'], 'cell')} missing"


def _degenerate(document: Mapping[str, Json]) -> list[str]:
    return [f"{one['arm']}, {one['backbone']}, {one['task']}, seed {one['seed']}" for one in document["degenerate"]]


def _left_out(document: Mapping[str, Json]) -> list[str]:
    return [f"{one['what']}: {one['why']}" for one in document["left_out"]]


def _missing(document: Mapping[str, Json]) -> list[str]:
    lines = []
    for one in document["missing"]["scores"]:
        langs = _first(in_order(one["languages"]))
        lines.append(f"{one['setting']}, {one['backbone']}, {one['target']}: {one['count']} ({langs}): {one['why']}")
    return lines


def _first(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "") or NOTHING


def _confounds(document: Mapping[str, Json]) -> list[str]:
    """Those of all hypotheses, each once; rates at an edge have a section of their own."""
    lines = dict.fromkeys(line for one in document["hypotheses"] for line in one["confounds"])
    return [line for line in lines if not line.startswith(AT_EDGE)]
