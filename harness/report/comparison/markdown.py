"""A comparison as Markdown for the terminal: one table for each contrast, how to read it, and what could not be compared.

print(markdown(compare(*find_systems(["runs/x"]))))
"""

from collections.abc import Iterable, Mapping, Sequence

from harness.api.escaping import markdown_texts
from harness.api.protocols import Json
from harness.data.languages import in_order
from harness.report.board.legend import SYNTHETIC
from harness.report.board.number_format import INCOMPLETE, NOTHING, PARTIAL, SAME, STAND_IN, bracketed, signed
from harness.report.board.prose import wrapped
from harness.report.board.tables import Column, in_blocks
from harness.report.comparison.rows import LANGUAGE, TASK
from harness.report.comparison.significance import EXACT_ITEMS

OVER_TASKS = "mean of tasks"
_MANY = 12
"A longer list of languages is shortened."
_FIELDS = ("model", "intermediate", "recipe", "limit", "route")


def markdown(document: Mapping[str, Json]) -> str:
    """The whole page; lines fit 100 columns."""
    document = markdown_texts(document)
    parts = ["# Comparison"]
    if document["synthetic"]:
        parts.append(SYNTHETIC)
    parts.append("\n".join(f"- {name}: {_system(document['systems'][name])}" for name in ("A", "B")))
    tables: dict[str, list[Mapping[str, Json]]] = {}
    for row in document["rows"]:
        tables.setdefault(_contrast(row["a"], row["b"], document), []).append(row)
    for title, rows in tables.items():
        parts += [f"## {title}", _table(rows, document)]
    parts += ["## How to read this", "\n".join(f"- {text}" for text in _legend(document, len(tables)))]
    if document["unpaired"]:
        parts += ["## Not compared", "\n".join(f"- {text}" for text in _unpaired(document))]
    return wrapped("\n\n".join(parts) + "\n")


def _system(system: Mapping[str, Json]) -> str:
    """What a side is, e.g. 'runs/x, model tiny, intermediate none or mnli, seed 1, 2'."""
    names = ("model", "intermediate", "recipe", "limit", "seed")
    values = [(name, system["values"][name]) for name in names if system["values"][name]]
    return ", ".join([system["run"], *(f"{name} {_listed(values)}" for name, values in values)])


def _contrast(a: Mapping[str, Json], b: Mapping[str, Json], document: Mapping[str, Json]) -> str:
    """The title of a contrast: how A and B differ, then what sets it apart from other contrasts: 'none → mnli (model large)'."""
    rows = document["rows"]
    # None stands for any: what is not trained has no recipe, and the other side's is no difference.
    differing = [name for name in _FIELDS if a[name] != b[name] and (name == "limit" or None not in (a[name], b[name]))]
    common = [name for name in _FIELDS if name not in differing and len({row["a"][name] for row in rows} - {None}) > 1]
    changes = [f"{name} {_value(a[name])} → {_value(b[name])}" for name in differing]
    shared = [f"{name} {_value(a[name])}" for name in common if a[name] is not None]
    return (", ".join(changes) or "A → B") + (f" ({', '.join(shared)})" if shared else "")


def _table(rows: Sequence[Mapping[str, Json]], document: Mapping[str, Json]) -> str:
    rows = _in_order(rows) if document["by"] == LANGUAGE else rows
    keys = [Column("task", [_task(row, document) for row in rows], left=True)]
    if document["by"] != TASK:
        keys.append(
            Column("lang" if document["by"] == LANGUAGE else document["by"], [str(row["group"]) for row in rows], left=True)
        )
    columns = [] if document["by"] == LANGUAGE else [Column("langs", [_languages(row) for row in rows])]
    seeds = [_seeds(row) for row in rows]
    columns += [Column("seeds", seeds)] if len({*seeds} - {NOTHING}) > 1 else []
    columns += [
        Column("n", [f"{row['num_examples']:,}" for row in rows]),
        Column("A", [signed(row["score_a"], "") for row in rows]),
        Column("B", [signed(row["score_b"], "") for row in rows]),
        Column("B − A", [bracketed(row["difference"], sign="+") for row in rows]),
        Column("p", [_p(row["randomisation"]["p"]) for row in rows]),
        Column("Holm", [_p(row["randomisation"]["p_adjusted"]) for row in rows], joined=True),
        Column("differ", ["yes" if row["significant"] else NOTHING for row in rows]),
        Column("gain", [_percent(row["gain"]) for row in rows]),
        Column("p boot", [_p(row["bootstrap"]["p"]) for row in rows]),
        Column("Holm", [_p(row["bootstrap"]["p_adjusted"]) for row in rows], joined=True),
    ]
    return in_blocks(keys, columns)


def _in_order(rows: Sequence[Mapping[str, Json]]) -> list[Mapping[str, Json]]:
    """Rows of single languages: tasks as they are, the languages of each in the order of every list of them."""
    tasks = list(dict.fromkeys(row["task"] for row in rows))
    langs = in_order(str(row["group"]) for row in rows)
    return sorted(rows, key=lambda row: (tasks.index(row["task"]), langs.index(str(row["group"]))))


def _task(row: Mapping[str, Json], document: Mapping[str, Json]) -> str:
    marks = (SAME if row["same_task"] else "") + (PARTIAL if row["partial"] else "")
    marks += INCOMPLETE if row["missing"] or row["uneven_seeds"] else ""
    marks += STAND_IN if any(document["tasks"][task]["stands_in_for"] for task in row["tasks"]) else ""
    return (row["task"] or f"{OVER_TASKS} ({len(row['tasks'])})") + marks


def _languages(row: Mapping[str, Json]) -> str:
    """How many languages, where some are missing of how many."""
    found, lacking = len(row["languages"]), {lang for langs in row["missing"].values() for lang in langs} - set(row["languages"])
    return str(found) if not lacking else f"{found} of {found + len(lacking)}"


def _seeds(row: Mapping[str, Json]) -> str:
    """The seeds; two of a pair only where they differ."""
    texts = {str(b if a in (b, None) else a if b is None else f"{a}/{b}") for a, b in row["seeds"]} - {"None"}
    return ",".join(sorted(texts, key=lambda text: (len(text), text))) or NOTHING


def _percent(gain: Mapping[str, float] | None) -> str:
    """A gain in whole percent with its interval."""
    if gain is None:
        return NOTHING
    value, low, high = (None if gain[end] is None else f"{round(gain[end]) + 0:+d}" for end in ("value", "low", "high"))
    return f"{value} %" + ("" if low is None else f" [{low}, {high}]")


def _p(value: float) -> str:
    """Four decimals; what rounds to less says so, what is 1 is 1."""
    return "<0.0001" if value < 0.00005 else "1" if value >= 0.99995 else f"{value:.4f}"


def _legend(document: Mapping[str, Json], num_tables: int) -> list[str]:
    """The legend: how each column is computed and what the marks mean."""
    tests, rows = document["tests"], document["rows"]
    level, alpha, number = round(tests["level"] * 100), tests["alpha"], tests["num_tests"]
    least = number / (tests["samples"] + 1)
    where = "this table" if num_tables == 1 else f"these {num_tables} tables"
    means = "seeds" if document["by"] == LANGUAGE else "seeds, then languages, then tasks"
    texts = [
        f"A and B are means over {means}. B − A is in points; gain is the share of the points left to win: (B − A) / (100 − A). "
        f"Brackets: {level} % interval of the paired bootstrap over test examples; it speaks of these languages and seeds only.",
        f"p: approximate randomisation; p boot: paired bootstrap; two-sided, {tests['samples']:,} samples (all swaps where at "
        f"most {EXACT_ITEMS} items differ). Translations of one item, and answers under all seeds, are swapped and drawn as one.",
        f"Holm: p adjusted for all rows of {where} ({number}); differ: adjusted p of the randomisation at most {alpha}.",
    ]
    if document["by"] not in (LANGUAGE, TASK):
        texts.append("English, the language of training, is in no group.")
    if least > alpha:
        texts.append(
            f"With {tests['samples']:,} samples and {number} rows the least adjusted p is about {min(least, 1):.2f}: "
            "give more --samples, or ask for fewer rows with --tasks, --languages or --by."
        )
    given = [name for name, task in document["tasks"].items() if task["thresholds"]]
    used = [
        (SAME, "the intermediate task is the target's own training data", any(row["same_task"] for row in rows)),
        (PARTIAL, "a sample of the test rows (--limit)", any(row["partial"] for row in rows)),
        (INCOMPLETE, "languages or seeds are missing", any(row["missing"] or row["uneven_seeds"] for row in rows)),
    ]
    texts += [f"{mark} {meaning}." for mark, meaning, is_used in used if is_used]
    texts += [
        f"{STAND_IN} {name}: the first metric of its file, {task['stands_in_for']}, is not computed here; "
        f"{', '.join(task['score'])} stands in its place."
        for name, task in document["tasks"].items()
        if task["stands_in_for"]
    ]
    ways = document["computed"]
    if ways["A"] and ways["B"] and ways["A"] != ways["B"]:
        told = "; ".join(f"{name} [{' and '.join(ways[name])}]" for name in ("A", "B"))
        texts.append(f"Computed in different ways, so that some of a difference may be rounding: {told}.")
    texts += [f"{name}: its thresholds are taken as given; that they were chosen adds no doubt here." for name in given]
    texts += [
        f"{row['task'] or OVER_TASKS}{'' if row['group'] is None else ', ' + row['group']}: without {_lacking(row['missing'])}."
        for row in rows
        if row["missing"]
    ]
    return list(dict.fromkeys(texts))


def _lacking(missing: Mapping[str, Sequence[str]]) -> str:
    if len(missing) == 1:
        return _listed(in_order(next(iter(missing.values()))))
    return "; ".join(f"{_listed(in_order(langs))} of {task}" for task, langs in missing.items())


def _unpaired(document: Mapping[str, Json]) -> list[str]:
    """What is in no row and why; all cells of one task and reason together."""
    found: dict[tuple[str, ...], list[Mapping[str, Json]]] = {}
    for entry in document["unpaired"]:
        found.setdefault((entry["side"], entry["task"], entry["reason"]), []).append(entry)
    texts = []
    for (side, task, reason), entries in found.items():
        langs = _listed(in_order(entry["lang"] for entry in entries))
        seeds = _listed(sorted({entry["seed"] for entry in entries} - {None}))
        arms = dict.fromkeys(f"{entry['model']} + {entry['intermediate']}" for entry in entries)
        texts.append(f"{side}: {task} in {langs}{f', seed {seeds}' if seeds else ''} ({'; '.join(arms)}): {reason}.")
    return texts


def _value(value: Json) -> str:
    return "any" if value is None else str(value)


def _listed(values: Iterable[Json]) -> str:
    texts = [str(value) for value in values]
    return ", ".join(texts if len(texts) <= _MANY else [*texts[: _MANY - 2], f"... ({len(texts)} in all)"])
