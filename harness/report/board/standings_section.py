"""The tables that set models against each other: scores and ranks side by side, one table for each intermediate setting.

parts = standings_section(Lines(board))
"""

from collections.abc import Mapping

from harness.api.protocols import Json
from harness.report.board.number_format import NOTHING, bracketed, collected, language_list, listed, marks, size
from harness.report.board.table_rows import Lines, arm_key
from harness.report.board.tables import Column, in_blocks

ABOUT = (
    "Score with its {level} % interval, and the rank among the models: 1 is best, after it in brackets all ranks that remain "
    "possible. Ranks come from paired differences over the same test examples, tested over all pairs of a column at once "
    "(Holm, {alpha:g} %)."
)
RANKS = "Intermediate setting {line}: 1 is best, in brackets all ranks that remain possible."
OVER_SEEDS = (
    "Several training seeds: the variance between them is in both, pooled over the models of a family, or over all models "
    "where a family has no two seeds."
)
COMPARED_WITH_NOBODY = (
    "Not compared: {lines}. Lines are compared that differ in the model alone: same intermediate setting, recipe, way of asking "
    "and sample of the test rows."
)


def standings_section(lines: Lines) -> list[str]:
    """The section; empty on a board of one model."""
    entries = lines.board["standings"]
    real = [name for name in lines.models if lines.board["models"].get(name, {}).get("adapter") != "fake"]
    if len(real) < 2:
        return []
    parts = ["## Models compared", *about_standings(lines)]
    for entry in entries:
        parts += [f"### {lines.label(entry)}"] if len(entries) > 1 else []
        table, notes = _table(lines, entry), standing_notes(entry)
        parts += [table] if table else []
        parts += ["\n".join(f"- {note}" for note in notes)] if notes else []
    compared = {arm_key({**entry, **line}) for entry in entries for line in entry["lines"]}
    alone = [
        f"{arm['model']} + {lines.label(arm)}" for arm in lines.arms if arm["model"] in real and arm_key(arm) not in compared
    ]
    return [*parts, COMPARED_WITH_NOBODY.format(lines=listed(alone))] if alone else parts


def rank_tables(lines: Lines) -> list[str]:
    """The ranks alone, a line a model, for a page that has the scores elsewhere; empty on a board of one model."""
    parts = []
    for entry in lines.board["standings"]:
        shown = ranked_columns(entry)
        if shown:
            models = Column("model", [line["model"] for line in entry["lines"]], left=True)
            ranks = {column["name"]: [rank_text(own["rank"]) for own in column["entries"]] for column in shown}
            columns = [Column(name, own, left=True) for name, own in ranks.items()]
            parts += [RANKS.format(line=lines.label(entry)), in_blocks([models], columns)]
    return parts


def about_standings(lines: Lines) -> list[str]:
    """What the numbers of the tables mean; empty where there is no table."""
    entries = lines.board["standings"]
    columns = [column for entry in entries for column in ranked_columns(entry)]
    if not columns:
        return []
    about = ABOUT.format(level=round(lines.board["bootstrap"]["level"] * 100), alpha=entries[0]["alpha"] * 100)
    about += f" {OVER_SEEDS}" if any(column["over_seeds"] for column in columns) else ""
    fakes = list(dict.fromkeys(line["model"] for entry in entries for line in entry["lines"] if line["fake"]))
    return [about + (f" {listed(fakes)}: made-up answers, which take no rank." if fakes else "")]


def ranked_columns(entry: Mapping[str, Json]) -> list[Mapping[str, Json]]:
    """The columns in which at least two models have a rank."""
    return [column for column in entry["columns"] if any(own["rank"] for own in column["entries"])]


def _table(lines: Lines, entry: Mapping[str, Json]) -> str:
    shown = ranked_columns(entry)
    if not shown:
        return ""
    models = [line["model"] for line in entry["lines"]]
    sizes = Column("parameters", [size(lines.board["models"].get(model)) for model in models])
    pairs: list[tuple[Column, Column]] = []
    for column in shown:
        scores = Column(column["name"], [_score(lines, entry, column, place) for place in range(len(models))])
        ranks = Column("rank", [rank_text(own["rank"]) for own in column["entries"]], left=True, joined=True)
        # The mean over all tasks often is that of a group, and is not told twice.
        if column["kind"] != "all" or not any((scores.cells, ranks.cells) == (one.cells, other.cells) for one, other in pairs):
            pairs.append((scores, ranks))
    return in_blocks([Column("model", models, left=True)], [sizes, *(column for pair in pairs for column in pair)])


def _score(lines: Lines, entry: Mapping[str, Json], column: Mapping[str, Json], place: int) -> str:
    own = column["entries"][place]
    if own["score"] is None:
        return NOTHING
    return _marks(lines, {**entry, **entry["lines"][place]}, column) + bracketed(own["score"])


def _marks(lines: Lines, arm: Mapping[str, Json], column: Mapping[str, Json]) -> str:
    """The marks that the tasks of a column have on the board; `*` where languages of a task do not count."""
    if column["kind"] == "group":
        return marks(lines.groups[(*arm_key(arm), column["name"])])
    found = [
        marks({**lines.tasks[(*arm_key(arm), task)], "complete": len(langs) == len(lines.board["tasks"][task]["languages"])})
        for task, langs in column["languages"].items()
    ]
    return "".join(dict.fromkeys("".join(found)))


def rank_text(rank: Mapping[str, int] | None) -> str:
    """A rank, and the ranks from best to worst that cannot be excluded where those are several."""
    if rank is None:
        return NOTHING
    return f"{rank['value']}" + (f" ({rank['best']}-{rank['worst']})" if rank["best"] < rank["worst"] else "")


def standing_notes(entry: Mapping[str, Json]) -> list[str]:
    """Who takes no rank where, and which languages do not count."""
    fakes = [line["model"] for line in entry["lines"] if line["fake"]]
    reasons = collected(
        ((own["model"], own["why"]), column["name"])
        for column in entry["columns"]
        for own in column["entries"]
        if own["why"] and own["model"] not in fakes
    )
    found = [f"{model} has no rank in {listed(names)}: {why}." for (model, why), names in reasons.items()]
    for column in entry["columns"]:
        for task, left_out in column["left_out"].items():
            langs = collected((why, lang) for lang, why in left_out.items())
            kept = column["languages"][task]
            if 0 < len(kept) < len(left_out) and len(langs) == 1:
                found += [f"{task} over {language_list(kept)} alone, without {len(left_out)} others: {why}." for why in langs]
            else:
                found += [f"{task} without {language_list(names)}: {why}." for why, names in langs.items()]
    return found
