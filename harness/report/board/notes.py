"""The last sections of the printed board: how each checkpoint was trained, and what a reader must know about the scores.

parts = [*training_table(board), *note_list(board)]
"""

from collections.abc import Mapping, Sequence
from typing import Any

from harness.api.protocols import Json
from harness.data.languages import held, in_order
from harness.report.board.ceilings import ceiling_notes
from harness.report.board.computing import adapter_notes, uneven_computing, versions
from harness.report.board.number_format import INCOMPLETE, STAND_IN, UNREAD, arm_text, collected, language_list, listed, unread
from harness.report.board.older_results import older_notes
from harness.report.board.table_rows import arm_key
from harness.report.board.tables import Column, in_blocks
from harness.specs.limit import limit_words


def training_table(board: Mapping[str, Json]) -> list[str]:
    """Steps, examples, selection and truncation of every training stage."""
    stages = {name: stage["facts"] for name, stage in board["stages"].items() if name.startswith("train/")}
    if not stages:
        return []
    facts = list(stages.values())
    columns = [
        Column("examples", [_number(fact.get("examples")) for fact in facts]),
        Column("truncated", [_number(fact.get("truncated_examples")) for fact in facts]),
        Column("steps", [_number(fact.get("steps")) for fact in facts]),
        Column("epochs", [_number(fact.get("epochs")) for fact in facts]),
        Column("final loss", [_number(fact.get("final_loss")) for fact in facts]),
        Column("kept step", [_number(fact.get("best_step") or fact.get("steps")) for fact in facts]),
        Column("English score", [_number(fact.get("best_score")) for fact in facts]),
        Column("selection", [str(fact.get("selection", "–")) for fact in facts], left=True),
    ]
    names = Column("stage", [name.removeprefix("train/") for name in stages], left=True)
    return ["## Training", in_blocks([names], columns)]


def _number(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}" if isinstance(value, float) else str(value)


def note_list(board: Mapping[str, Json]) -> list[str]:
    """The section of notes; empty if there is nothing to note."""
    found = notes(board)
    return ["## Notes", "\n".join(f"- {text}" for text in found)] if found else []


def notes(board: Mapping[str, Json]) -> list[str]:
    """What a reader must know about the scores, a sentence or two each."""
    return [
        *(f"{STAND_IN} {text}." for text in stand_ins(board)),
        *_partial(board),
        *_incomplete(board),
        *_missing(board),
        *_groups(board),
        *_without_lift(board),
        *_counts(board),
        *_unread(board),
        *_never_chosen(board),
        *_degenerate(board),
        *_begun_again(board),
        *ceiling_notes(board),
        *_overlaps(board),
        *_unread_tests(board),
        *uneven_computing(board),
        *_embeddings(board),
        *_scaling(board),
        *adapter_notes(board),
        *_of_tasks(board),
        *_few_bits(board),
        *_pitfalls(board),
        *older_notes(board),
        *(f"Failed: {entry['stage']}: {_first_line(entry['error'])}" for entry in board["failures"]),
        *versions(board),
    ]


def stand_ins(board: Mapping[str, Json]) -> list[str]:
    """The tasks whose score is not that of the metric which their files name first, with what stands in its place."""
    tasks = ((task, board["tasks"][task]) for task in board["task_order"])
    pairs = [((spec["stands_in_for"], ", ".join(spec["score"])), task) for task, spec in tasks if spec["stands_in_for"]]
    return [
        f"{listed(names)}: the first metric of the file, {asked}, is not computed here; {given} stands in its place"
        for (asked, given), names in collected(pairs).items()
    ]


def _cells(number: int) -> str:
    return f"{number} cell" + ("" if number == 1 else "s")


def _first_line(text: str) -> str:
    return (text.splitlines() or [""])[0]


def _partial(board: Mapping[str, Json]) -> list[str]:
    pairs = [(entry["limit"], entry["task"]) for entry in board["task_scores"] if entry["partial"]]
    return [f"‡ {limit_words(limit)}: {', '.join(tasks)}." for limit, tasks in collected(pairs).items()]


def _incomplete(board: Mapping[str, Json]) -> list[str]:
    """Means over some of a task's languages only."""
    pairs = []
    for entry in board["task_scores"]:
        total = len(board["tasks"][entry["task"]]["languages"])
        if entry["missing_languages"]:
            text = f"{entry['task']}: mean over {total - len(entry['missing_languages'])} of its {total} languages"
            pairs.append((text, arm_text(entry)))
    return [f"{text} ({INCOMPLETE}) [{'; '.join(arms)}]." for text, arms in collected(pairs).items()]


def _missing(board: Mapping[str, Json]) -> list[str]:
    """What was asked for and is not there, by line, task and reason."""
    pairs = []
    for entry in board["missing"]:
        seed = "" if entry["seed"] is None else f" (seed {entry['seed']})"
        pairs.append(((arm_text(entry), entry["task"], entry["reason"]), entry["lang"] + seed))
    return [
        f"Missing: {arm}, {task}, {_cells(len(langs))}: {language_list(langs)}: {reason}."
        for (arm, task, reason), langs in collected(pairs).items()
    ]


def _groups(board: Mapping[str, Json]) -> list[str]:
    """Groups without a number and what they lack."""
    pairs = []
    for entry in board["group_scores"]:
        if entry["score"] is None:
            lacking = "; ".join(_lacking(board, task, langs) for task, langs in entry["missing"].items())
            pairs.append(((entry["group"], lacking), arm_text(entry)))
    arms = len({arm_key(entry) for entry in board["group_scores"]})
    return [
        f"No number for {group}"
        + ("" if len(names) == arms else f" of {', '.join(names)}")
        + f": it lacks {lacking or 'members'}."
        for (group, lacking), names in collected(pairs).items()
    ]


def _lacking(board: Mapping[str, Json], task: str, langs: Sequence[str]) -> str:
    """A task, with the languages it lacks where it has others."""
    if task not in board["tasks"]:
        return task
    if not langs:
        return f"{task} (some seeds)"
    return task if len(langs) == len(board["tasks"][task]["languages"]) else f"{task} ({language_list(langs)})"


def _without_lift(board: Mapping[str, Json]) -> list[str]:
    pairs = [((arm_text(row), row["task"], row["no_lift"]), row["lang"]) for row in board["rows"] if row["no_lift"]]
    return [f"No lift: {arm}, {task} in {language_list(langs)}: {why}." for (arm, task, why), langs in collected(pairs).items()]


def _counts(board: Mapping[str, Json]) -> list[str]:
    """Truncated and missing predictions and the notes of the task types."""
    pairs = []
    for entry in board["task_scores"]:
        counts = entry["counts"]
        texts = [f"{note} {number:,}" for note, number in counts["notes"].items()]
        if counts["missing"]:
            texts.insert(0, f"{counts['missing']:,} without a prediction (scored as wrong)")
        if counts["truncated_examples"]:
            texts.insert(0, f"{counts['truncated_examples']:,} truncated ({counts['truncated_tokens']:,} tokens unseen)")
        if texts:
            pairs.append(((entry["task"], f"of {counts['examples']:,} examples: {', '.join(texts)}"), f"{arm_text(entry)}"))
    return [f"{task}, {text} [{'; '.join(arms)}]." for (task, text), arms in collected(pairs).items()]


def _unread(board: Mapping[str, Json]) -> list[str]:
    """Languages whose text the tokenizer does not know, or of which inputs hold no text."""
    pairs = []
    for entry in board["task_scores"]:
        found = {lang: unread(numbers) for lang, numbers in entry["languages"].items()}
        texts = [f"{lang} {found[lang]}" for lang in in_order(found) if found[lang]]
        if texts:
            pairs.append(((entry["task"], "; ".join(texts)), arm_text(entry)))
    return [f"{UNREAD} {task}: {text} [{'; '.join(arms)}]." for (task, text), arms in collected(pairs).items()]


def _never_chosen(board: Mapping[str, Json]) -> list[str]:
    """Choices that cannot win by the sum of their log-probabilities, with the examples and languages in which that is so."""
    langs: dict[tuple[str, ...], dict[str, int]] = {}
    for row in board["rows"]:
        for found in board["stages"].get(row["stages"]["predict"], {}).get("facts", {}).get("never_chosen", ()):
            key = (row["task"], found["longer"], found["shorter"], arm_text(row))
            langs.setdefault(key, {})[row["lang"]] = found["examples"]
    pairs = [((*key, sum(found.values()), language_list(found)), arm) for (*key, arm), found in langs.items()]
    return [
        f"{task}: {longer} can never be chosen in {number:,} examples ({names}), for {shorter} is how it begins, and a sum of "
        f"log-probabilities only falls with each token; `--prompt_args normalise=per_token` divides it [{'; '.join(arms)}]."
        for (task, longer, shorter, number, names), arms in collected(pairs).items()
    ]


def _degenerate(board: Mapping[str, Json]) -> list[str]:
    found: dict[str, list[Mapping[str, Json]]] = {}
    for entry in board["degenerate"]:
        found.setdefault(entry["why"], []).append(entry)
    return [
        f"Degenerate: {why}: {listed([entry['stage'] for entry in entries])} ({_cells(sum(e['cells'] for e in entries))})."
        for why, entries in found.items()
    ]


def _overlaps(board: Mapping[str, Json]) -> list[str]:
    pairs = [((entry["train"], entry["test"]), f"{entry['lang']} {entry['n']:,}") for entry in board["overlaps"]]
    return [
        f"Overlap: rows of {train} occur in {_overlapped(test)}: {language_list(langs)}."
        for (train, test), langs in collected(pairs).items()
    ]


def _begun_again(board: Mapping[str, Json]) -> list[str]:
    """Trainings that were made in fp32 because their loss was lost in fewer bits."""
    facts = {name: stage["facts"].get("begun_again_in_float32") for name, stage in board["stages"].items()}
    pairs = [
        (f"the loss became {one['loss']} in {one['precision']}", f"{name} (step {one['step']})")
        for name, one in facts.items()
        if one
    ]
    return [f"Trained in float32, because {why}: {listed(names)}." for why, names in collected(pairs).items()]


def _unread_tests(board: Mapping[str, Json]) -> list[str]:
    """Test rows that could not be read, so that training rows with their texts may be left in."""
    pairs = [(text, name) for name, stage in board["stages"].items() for text in stage["facts"].get("unread_tests", ())]
    return [
        f"Overlap: test rows of {text} could not be read, so that their texts were not kept out of {listed(names)}."
        for text, names in collected(pairs).items()
    ]


def _embeddings(board: Mapping[str, Json]) -> list[str]:
    """How vectors were made, where scores depend on it."""
    pairs = []
    for entry in board["task_scores"]:
        if "pooling" in entry["options"]:
            options = ", ".join(f"{name} {value!r}" for name, value in entry["options"].items())
            pairs.append(((entry["task"], options), entry["model"]))
    return [f"{task} of {', '.join(models)}: {options}." for (task, options), models in collected(pairs).items()]


def _overlapped(name: str) -> str:
    """What shares rows with training data: a task's test rows, or the rows that choose a checkpoint."""
    return f"{name}, which chooses the checkpoint" if name.endswith(" validation") else f"the test rows of {name}"


def _of_tasks(board: Mapping[str, Json]) -> list[str]:
    """Each note of the tasks' files once, with the tasks that have it."""
    found = collected((note, task) for task in board["task_order"] for note in board["tasks"][task]["notes"])
    return [f"{', '.join(tasks)}: {note}" for note, tasks in found.items()]


def _few_bits(board: Mapping[str, Json]) -> list[str]:
    """Which backbones hold their weights in few bits, and which are adapters that were trained elsewhere."""
    models = board["models"].items()
    stored = collected((model["quantization"], name) for name, model in models if model.get("quantization"))
    put_on = collected((model["adapter_on"], name) for name, model in models if model.get("adapter_on"))
    return [
        *(f"{', '.join(names)}: weights in few bits ({label})." for label, names in stored.items()),
        *(f"{', '.join(names)}: an adapter that was trained elsewhere, on {base}." for base, names in put_on.items()),
    ]


def _pitfalls(board: Mapping[str, Json]) -> list[str]:
    """Each pitfall once, with the backbones that have it."""
    found = collected((pitfall, name) for name, model in board["models"].items() for pitfall in model["pitfalls"])
    return [f"{', '.join(names)}: {pitfall}" for pitfall, names in found.items()]


def _scaling(board: Mapping[str, Json]) -> list[str]:
    """What besides size differs between several backbones: their family, and the languages that pretraining held."""
    models = {name: model for name, model in board["models"].items() if model["adapter"] != "fake"}
    if len(models) < 2:
        return []
    families = collected((model["family"] or name, name) for name, model in models.items())
    found = []
    if len(families) > 1:
        named = "; ".join(", ".join(names) for names in families.values())
        found.append(f"Backbones of {len(families)} families ({named}) differ in more than size: compare sizes within a family.")
    langs = dict.fromkeys(row["lang"] for row in board["rows"])
    known = {name: model["coverage"]["languages"] for name, model in models.items() if model["coverage"]}
    lacking = {name: [lang for lang in langs if held(lang, covered) is False] for name, covered in known.items()}
    if len({tuple(names) for names in lacking.values()}) > 1:
        named = "; ".join(f"{name} not {language_list(names)}" if names else f"{name} all" for name, names in lacking.items())
        found.append(
            f"Pretraining of the backbones held different languages of this board ({named}): means over all languages mix that "
            "with size; `leaderboard --by covered` takes them apart."
        )
    unknown = [name for name in models if name not in known]
    if unknown:
        found.append(f"Not recorded which languages the pretraining of {', '.join(unknown)} held.")
    return found
