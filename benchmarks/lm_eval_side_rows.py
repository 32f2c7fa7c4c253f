"""The rows of lm_eval_side_by_side.py: a mirror of hub datasets for twenty-one of lm-eval's tasks.

    write_mirror(Path("mirror"), hub=Path("../shared/hub"), tasks=[*TASKS], rows=5)
    TASKS["swag"].rows                # REAL: as on the hub; TEXTS: real ones of another dataset in its columns; MADE_UP

The rows asked are neighbours in a file, short ones only, since both sides compute them on a CPU; those that prompts show come
from elsewhere in it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

REAL, TEXTS, MADE_UP = "real", "real texts", "made up"
LONGEST = 520
"Characters of a row, all its texts together."
SHOWN_ROWS = 8
"Of a split that solved examples are drawn from; a split that is asked has so many more than are asked."

Row = dict[str, Any]
Maker = Callable[[Row], Row]


class Asked(NamedTuple):
    """One task of lm-eval, and where its rows come from."""

    folder: str
    "Of lm_eval/tasks."
    place: str
    "Repository and configuration that its file names, as a mirror lays them."
    asked: str
    "Split."
    shown: str
    "Split of solved examples; the same where the task has one split."
    rows: str
    source: str | Sequence[Row]
    "A file below the mirror of real data; or the rows."
    make: Maker = dict
    keep: Callable[[Row], bool] = bool


def _tydiqa(language: str) -> dict[str, Any]:
    return {"keep": lambda row: row["id"].startswith(f"{language}-")}


def _swag(row: Row) -> Row:
    endings = {f"ending{number}": text for number, text in enumerate(row["endings"])}
    label = int(row["label"])
    return {"video-id": row["source_id"], "startphrase": row["ctx"], **endings, "label": label}


def _science(row: Row) -> Row:
    return {"id": row["id"], "question_stem": row["question"], "choices": row["choices"], "answerKey": row["answerKey"]}


def _four(row: Row) -> Row:
    """A question with four options, the right one first among them where it was the fifth."""
    right = "ABCDE".index(row["answerKey"])
    texts = row["choices"]["text"][:4] if right < 4 else [row["choices"]["text"][4], *row["choices"]["text"][:3]]
    key = row["answerKey"] if right < 4 else "A"
    return {"id": row["id"], "question": row["question"], "choices": {"text": texts, "label": [*"ABCD"]}, "answerKey": key}


def _open_question(row: Row) -> Row:
    return {"question": row["question"].strip().rstrip("?"), "answer": [*dict.fromkeys(row["answers"]["text"])]}


def _trivia(row: Row) -> Row:
    aliases = [*dict.fromkeys(row["answers"]["text"])]
    answer = {"aliases": aliases, "value": aliases[0], "normalized_aliases": [alias.lower() for alias in aliases]}
    return {"question": row["question"].strip().rstrip("?"), "question_id": row["id"], "answer": answer}


def _catalan(row: Row) -> Row:
    answers = [{"text": text, "answer_start": at} for text, at in zip(row["answers"]["text"], row["answers"]["answer_start"])]
    return {"id": row["id"], "context": row["context"], "question": row["question"], "answers": answers}


def _first_sentence(row: Row) -> Row:
    """A text that ends in a word without a full stop, as those of LAMBADA."""
    return {"text": row["context"].strip("\ufeff ").partition(". ")[0].rstrip(".")}


def _text(row: Row) -> Row:
    return {"text": row["context"], "meta": {"pile_set_name": "Wikipedia (en)"}}


def _winograd(sentence: str, first: str, second: str, answer: str) -> Row:
    return {"sentence": sentence, "option1": first, "option2": second, "answer": answer}


WINOGRADS = [
    _winograd("Ada lent Bo her ladder because _ had to paint the roof.", "Ada", "Bo", "2"),
    _winograd("The bread did not fit into the box, for the _ was too long.", "bread", "box", "1"),
    _winograd("Lund thanked Weber, since _ had mended the mill-wheel overnight.", "Lund", "Weber", "2"),
    _winograd("The river was louder than the brook, so we heard the _ first.", "brook", "river", "2"),
    _winograd("Iris sold the horse to Max when _ moved to town.", "Iris", "Max", "1"),
    _winograd("The key turned in the new lock but not in the old one: the _ lock was rusty.", "old", "new", "1"),
]


def _copa(premise: str, first: str, second: str, question: str, label: int) -> Row:
    return {"premise": premise, "choice1": first, "choice2": second, "question": question, "label": label, "idx": label}


COPAS = [
    _copa("The mill stood still.", "There was no wind.", "The flour was white.", "cause", 0),
    _copa("It rained for a week.", "The wells dried up.", "The river rose.", "effect", 1),
    _copa("Ada closed the window.", "It had become cold.", "It had become light.", "cause", 0),
    _copa("The lamp fell down.", "It went out.", "It was bought.", "effect", 0),
    _copa("The horse was tired.", "It had slept all day.", "It had carried stones uphill.", "cause", 1),
]


def _anatomy(question: str, *choices: str, answer: int) -> Row:
    return {"question": question, "subject": "anatomy", "choices": list(choices), "answer": answer}


ANATOMY = [
    _anatomy("Which bone lies in the thigh?", "Femur", "Ulna", "Tibia", "Sternum", answer=0),
    _anatomy("How many chambers has the human heart? ", "2", "3", "4", "5", answer=2),
    _anatomy("Which organ makes bile?", "The spleen", "The liver", "The kidney", "The lung", answer=1),
    _anatomy("What covers the front of the eye?", "The retina", "The iris", "The lens", "The cornea", answer=3),
    _anatomy("Which vessel carries blood from the lungs?", "Aorta", "Pulmonary vein", "Vena cava", "Portal vein", answer=1),
]


def _sum(body: str, question: str, answer: str) -> Row:
    return {"body": body, "question": question, "answer": answer, "solution_type": "Sum", "formula": ""}


SUMS = [
    _sum("Ada has 3 sacks and buys 4 more.", "How many sacks has she?", "7 (sacks)"),
    _sum("A train takes 2 hours to Lund and 5 hours to Weber.", "How much longer is the second way?", "3 (hours)"),
    _sum("There are 6 rows of 8 trees.", "How many trees are there?", "48 (trees)"),
    _sum("Bo shared 20 nuts among 5 children.", "How many did each get?", "4 (nuts)"),
    _sum("A book has 120 pages; 45 are read.", "How many are left?", "75 (pages)"),
]

ANLI, XNLI = "facebook/anli/plain_text", "facebook/xnli"
SQUAD, XQUAD = "rajpurkar/squad/plain_text/validation", "google/xtreme/XQuAD."
CHOICES = "tau/commonsense_qa/data/validation"
TYDIQA = (
    "tydiqa",
    "google-research-datasets/tydiqa/secondary_task",
    "validation",
    "train",
    REAL,
    "google/xtreme/tydiqa/validation",
)
STABLE = "EleutherAI/lambada_multilingual_stablelm"

TASKS: Mapping[str, Asked] = {
    "anli_r1": Asked("anli", "facebook/anli/default", "test_r1", "train_r1", REAL, f"{ANLI}/dev_r1"),
    "anli_r3": Asked("anli", "facebook/anli/default", "test_r3", "train_r3", REAL, f"{ANLI}/dev_r3"),
    "mnli_mismatch": Asked(
        "glue/mnli", "nyu-mll/glue/mnli", "validation_mismatched", "train", REAL, "nyu-mll/glue/mnli/validation_mismatched"
    ),
    "french_bench_xnli": Asked("french_bench", f"{XNLI}/fr", "test", "validation", REAL, f"{XNLI}/fr/test"),
    "xnli_es_spanish_bench": Asked("spanish_bench", "xnli/es", "validation", "validation", REAL, f"{XNLI}/es/validation"),
    "swag": Asked("swag", "allenai/swag/regular", "validation", "train", TEXTS, "Rowan/hellaswag/data/validation", _swag),
    "openbookqa": Asked("openbookqa", "allenai/openbookqa/main", "test", "train", TEXTS, CHOICES, _science),
    "winogrande": Asked("winogrande", "allenai/winogrande/winogrande_xl", "validation", "train", MADE_UP, WINOGRADS),
    "copa": Asked("super_glue/copa", "aps/super_glue/copa", "validation", "train", MADE_UP, COPAS),
    "mmlu_anatomy": Asked("mmlu/default", "cais/mmlu/anatomy", "test", "dev", MADE_UP, ANATOMY),
    "lambada_openai_mt_stablelm_es": Asked(
        "lambada_multilingual_stablelm", f"{STABLE}/es", "test", "test", TEXTS, f"{XQUAD}es/validation", _first_sentence
    ),
    "lambada_openai_mt_stablelm_de": Asked(
        "lambada_multilingual_stablelm", f"{STABLE}/de", "test", "test", TEXTS, f"{XQUAD}de/validation", _first_sentence
    ),
    "lambada_standard_cloze_yaml": Asked(
        "lambada_cloze", "cimec/lambada/default", "test", "validation", TEXTS, f"{XQUAD}en/validation", _first_sentence
    ),
    "asdiv": Asked("asdiv", "EleutherAI/asdiv/default", "validation", "validation", MADE_UP, SUMS),
    "tydiqa_goldp_fi": Asked(*TYDIQA, **_tydiqa("finnish")),
    "tydiqa_goldp_sw": Asked(*TYDIQA, **_tydiqa("swahili")),
    "nq_open": Asked("nq_open", "google-research-datasets/nq_open/default", "validation", "train", TEXTS, SQUAD, _open_question),
    "triviaqa": Asked("triviaqa", "mandarjoshi/trivia_qa/rc.nocontext", "validation", "train", TEXTS, SQUAD, _trivia),
    "catalanqa": Asked(
        "catalan_bench", "projecte-aina/catalanqa/default", "test", "train", TEXTS, TYDIQA[-1], _catalan, **_tydiqa("indonesian")
    ),
    "arc_challenge_chat": Asked("arc", "allenai/ai2_arc/ARC-Challenge", "test", "train", TEXTS, CHOICES, _four),
    "pile_wikipedia": Asked(
        "pile", "EleutherAI/pile/pile_wikipedia", "train", "train", TEXTS, TYDIQA[-1], _text, **_tydiqa("english")
    ),
}
"By lm-eval's name."


def write_mirror(folder: Path, *, hub: Path, tasks: Sequence[str], rows: int) -> None:
    """Lay the splits of some tasks as a mirror; tasks that read the same split have their rows one behind the other."""
    splits: dict[Path, list[Row]] = {}
    for name in tasks:
        task = TASKS[name]
        found = list(_rows(task, hub, number=rows + 2 * SHOWN_ROWS))
        place = folder / task.place
        asked, shown = found[: rows + SHOWN_ROWS], found[rows + SHOWN_ROWS :]
        splits.setdefault(place / task.asked, []).extend(asked)
        if task.shown != task.asked:
            splits.setdefault(place / task.shown, []).extend(shown or found)
    for path, several in splits.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(several), path.with_name(f"{path.name}-00000-of-00001.parquet"))


def _rows(task: Asked, hub: Path, *, number: int) -> Iterator[Row]:
    """The first short rows of a source, each of another text where they stand on one; made-up ones again and again."""
    if not isinstance(task.source, str):
        for place in range(number):
            yield _marked(task.source[place % len(task.source)], place // len(task.source))
        return
    last = None
    path = hub / f"{task.source}-00000-of-00001.parquet"
    for row in pq.read_table(path).to_pylist():
        text = row.get("context", row.get("premise", row))
        made = task.make(row)
        if number and task.keep(row) and text != last and len(str(made)) <= LONGEST:
            last = text
            number -= 1
            yield made
    if number:
        raise SystemExit(f"{path} has too few short rows: {number} more are needed")


def _marked(row: Row, time: int) -> Row:
    """The same row, told apart by its last text where it comes again."""
    name = [key for key, value in row.items() if isinstance(value, str) and " " in value][-1]
    return {**row, name: f"{row[name]}{' ~' * time}"}
