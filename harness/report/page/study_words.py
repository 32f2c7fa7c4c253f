"""A study's verdicts in the words of somebody who has not read how they are made.

question(entry, document["fixed"])     # 'Does what mnli adds persist from 100M to 10B parameters?'
answer(entry, document["fixed"])       # 'Yes: it is there at both sizes, and the change is below 1 point.'
"""

from collections.abc import Mapping, Sequence

from harness.api.protocols import Json

UNITS = {"points": "points", "headroom": "% of headroom", "logit": "logits"}
"Scale -> what its lifts are counted in."
GOOD, BAD, NONE, OPEN = "yes", "no", "none", "open"
"How a verdict is coloured: the benefit is there, it is not or turns round, there is no effect, or it is not known."
TONES = {
    "persists": GOOD,
    "grows": GOOD,
    "shrinks": GOOD,
    "vanishes": NONE,
    "reverses": BAD,
    "never there": NONE,
    "holds": GOOD,
    "refuted": BAD,
}
_SCALE_ANSWERS = {
    "persists": "Yes. It helps at both sizes, and by the same amount to within {margin}.",
    "grows": "Yes, and more: the larger model gains more from it than the smaller one.",
    "shrinks": "Partly. It still helps the larger model, but less than the smaller one.",
    "vanishes": "No. It helps the smaller model; for the larger one it makes no difference of {margin} or more.",
    "reverses": "No. What it does at one size turns into its opposite at the other.",
    "never there": "There is nothing to persist: at neither size does it help by {margin} or more.",
}
_CLAIMS = {
    "helps": "Does {settings} help{where}?",
    "no_effect": "Is what {settings} does less than {margin}, up or down,{where}?",
    "better": "Does {settings} help more{where} than {than}?",
    "no_better": "Does {settings} help{where} no more than {than}, to within {margin}?",
    "ranking": "Do they help in this order{where}, the best first: {settings}?",
}


def parameters(size: float) -> str:
    """A number of parameters, e.g. '86M' or '13.2B'."""
    unit, name = (1e9, "B") if size >= 1e9 else (1e6, "M") if size >= 1e6 else (1e3, "K")
    scaled = size / unit
    return f"{scaled:.0f}{name}" if scaled >= 100 else f"{scaled:.3g}{name}"


def question(entry: Mapping[str, Json], fixed: Mapping[str, Json]) -> str:
    """What a hypothesis asks."""
    asked = entry["question"]
    settings, margin = asked["settings"], margin_of(asked)
    where = f" {place(asked['over'])}"
    if asked["asks"] == "scale":
        sizes = f"from {parameters(fixed['reference'])} to {parameters(fixed['target'])} parameters"
        return f"Does the benefit of {_together(settings)} persist as models grow, {sizes},{where}?"
    at = "" if asked["at"] == "mean" else f" at {parameters(fixed[asked['at']])} parameters"
    named = ", ".join(settings) if asked["asks"] == "ranking" else _together(settings, each=asked["each"])
    others = [*asked["than"], *(place(one) for one in asked["than_over"])]
    than = "" if not others else others[0] if len(others) == 1 else f"each of {', '.join(others)}"
    return _CLAIMS[asked["asks"]].format(settings=named, than=than, margin=margin, where=where + at)


def _together(settings: Sequence[str], *, each: bool = False) -> str:
    """Several settings are averaged, or meant one by one."""
    if len(settings) == 1:
        return settings[0]
    return f"{'each of' if each else 'the mean of'} {' and '.join(settings)}"


def answer(entry: Mapping[str, Json], fixed: Mapping[str, Json]) -> str:
    """What came out, in a sentence or two."""
    verdict, asked = entry["verdict"], entry["question"]
    margin = margin_of(asked)
    if verdict == "not looked":
        return f"Not decided: {entry['why'] or 'nobody has looked at the results yet'}."
    if verdict == "undecided":
        shown = f" Shown so far: {entry['settled']}." if entry["settled"] else ""
        return f"It cannot be said yet: {entry['why'] or 'the intervals are too wide for an answer'}.{shown}"
    if asked["asks"] == "scale":
        return _SCALE_ANSWERS[verdict].format(margin=margin)
    return "Yes, this is shown." if verdict == "holds" else "No: the results speak against it."


def margin_of(asked: Mapping[str, Json]) -> str:
    """The smallest effect of interest, with its unit."""
    unit = "point" if asked["unit"] == "points" and asked["margin"] == 1 else asked["unit"]
    return f"{asked['margin']:g} {unit}"


def place(over: Mapping[str, Json]) -> str:
    """What a lift is averaged over."""
    kind, group = over["kind"], over["group"]
    if kind == "zero_shot":
        return "over all targets, in all languages but English"
    if kind == "target":
        return f"on {group}"
    if kind in ("english", "xtreme", "same_task"):
        said = {"english": "in English", "xtreme": "with English among the languages", "same_task": "on its own training task"}
        return said[kind] if group == "all targets" else f"on {group}, {said[kind]}"
    said = {
        "category": f"on targets of the kind {group}",
        "family": f"in {group} languages",
        "script": f"in languages written in {group}",
        "covered": f"in languages {group} by pretraining" if group != "not recorded" else "in languages not recorded",
    }
    return said.get(kind, f"{kind} {group}")


def label(over: Mapping[str, Json]) -> str:
    """The same as the label of a row."""
    kind, group = over["kind"], over["group"]
    titles = {"zero_shot": "All targets, zero-shot", "xtreme": "All targets, with English", "same_task": "Same task"}
    if kind in titles and group == "all targets":
        return titles[kind]
    if kind == "english":
        return "All targets, English" if group == "all targets" else f"{group} (English)"
    return f"{group} (same task)" if kind == "same_task" else str(group)


def numbers(entry: Mapping[str, Json], fixed: Mapping[str, Json]) -> list[dict[str, Json]]:
    """Each number of a hypothesis: what it is, the number with its interval, and the interval at the level of the test."""
    names = {
        "reference": f"lift at {parameters(fixed['reference'])}" if fixed["reference"] else "reference",
        "target": f"lift at {parameters(fixed['target'])}" if fixed["target"] else "target",
        "change": "change between them",
    }
    return [{"name": names.get(one["name"], one["name"]), "text": span(one), "tested": _tested(one)} for one in entry["numbers"]]


def _tested(number: Mapping[str, Json]) -> str:
    """The interval at the level of the test, which several questions share; empty where it is the one that is shown."""
    low, high = number.get("low_at_level"), number.get("high_at_level")
    if low is None or high is None or (low, high) == (number["low"], number["high"]):
        return ""
    return f"[{signed(low)}, {signed(high)}] as tested"


def sureness(low: float | None, high: float | None) -> str:
    """Whether an interval leaves open on which side of nothing a lift is."""
    if low is None or high is None:
        return "how sure cannot be said (one seed)"
    if low <= 0 <= high:
        return "not sure: 0 is inside"
    return f"sure: the interval is {'above' if low > 0 else 'below'} 0"


def signed(value: float) -> str:
    """A difference with its sign, one decimal, or two digits of what is smaller."""
    text = f"{value:+.1f}" if abs(value) >= 1 else f"{value:+.2f}"
    return text.replace("-0.00", "0.00").replace("+0.00", "0.00")


def span(entry: Mapping[str, Json]) -> str:
    """A difference with its interval."""
    if entry.get("low") is None:
        return signed(entry["value"])
    return f"{signed(entry['value'])} [{signed(entry['low'])}, {signed(entry['high'])}]"


def listed_first(names: Sequence[str], *, many: int = 12) -> str:
    """The first few of a longer list."""
    return ", ".join(names) if len(names) <= many else f"{', '.join(names[:many])} and {len(names) - many} more"
