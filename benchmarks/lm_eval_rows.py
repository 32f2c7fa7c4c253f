"""The rows on which lm_eval_speed.py measures: a mirror of hub datasets made of real rows, in the columns of lm-eval's tasks.

    tasks = write_scenario("choices", Path("mirror"), hub=Path("../shared/hub"), tokenizer=tokenizer, limit=50, seed=0)

choices      four long options (sentences of other passages, the right one from this passage) behind a passage of 300 to 600
             tokens, as m_arc rows: long continuations of a long context
letters      the same passages and options as belebele rows, where the continuations are the letters A to D
xnli         XNLI in 15 languages: nothing before the continuations, which begin alike
generation   XQuAD in five languages, neighbouring rows: questions on one paragraph follow each other, as in the whole dataset
"""

import random
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

LETTERS = "ABCD"
PASSAGE_TOKENS = (300, 600)
CHOICE_LANGUAGES = {"es": "spa_Latn", "de": "deu_Latn"}
XNLI_LANGUAGES = ("ar", "bg", "de", "el", "en", "es", "fr", "hi", "ru", "sw", "th", "tr", "ur", "vi", "zh")
GENERATION_LANGUAGES = ("en", "es", "de", "ru", "zh")

Rows = list[dict[str, Any]]


def write_scenario(name: str, mirror: Path, *, hub: Path, tokenizer: Any, limit: int, seed: int) -> list[str]:
    """Write `limit` rows per task of a scenario into a mirror; gives the names of lm-eval's tasks."""
    return list(SCENARIOS[name](mirror, hub, tokenizer, limit, seed))


def _choices(mirror: Path, hub: Path, tokenizer: Any, limit: int, seed: int) -> Iterator[str]:
    """Rows of m_arc with sentences as options."""
    for lang in CHOICE_LANGUAGES:
        rows: Rows = []
        for number, (passage, question, options, right) in enumerate(_questions(hub, lang, tokenizer, limit, seed)):
            letters = {f"option_{letter}": option for letter, option in zip("abcde", [*options, None])}
            instruction = f"{passage} {question}"
            rows.append({"id": str(number), "instruction": instruction, **letters, "answer": LETTERS[right]})
        _write(mirror / "alexandrainst/m_arc" / lang, "test", rows)
        yield f"arc_{lang}"


def _letters(mirror: Path, hub: Path, tokenizer: Any, limit: int, seed: int) -> Iterator[str]:
    """Rows of belebele."""
    for lang, name in CHOICE_LANGUAGES.items():
        rows: Rows = []
        for number, (passage, question, options, right) in enumerate(_questions(hub, lang, tokenizer, limit, seed)):
            answers = {f"mc_answer{n}": option for n, option in enumerate(options, start=1)}
            row = {"link": "", "question_number": number, "flores_passage": passage, "question": question, **answers}
            rows.append({**row, "correct_answer_num": str(right + 1), "dialect": name, "ds": ""})
        _write(mirror / "facebook/belebele" / name, "test", rows)
        yield f"belebele_{name}"


def _xnli(mirror: Path, hub: Path, tokenizer: Any, limit: int, seed: int) -> Iterator[str]:
    """The same seeded rows of XNLI's validation set in all its languages."""
    for lang in XNLI_LANGUAGES:
        table = pq.read_table(hub / "facebook/xnli" / lang / "validation-00000-of-00001.parquet")
        chosen = sorted(random.Random(seed).sample(range(len(table)), limit))
        _write(mirror / "facebook/xnli" / lang, "validation", table.take(chosen))
        yield f"xnli_{lang}"


def _generation(mirror: Path, hub: Path, tokenizer: Any, limit: int, seed: int) -> Iterator[str]:
    """Neighbouring rows of XQuAD from a seeded place on."""
    for lang in GENERATION_LANGUAGES:
        table = _xquad(hub, lang)
        begin = random.Random(seed).randrange(len(table) - limit + 1)
        _write(mirror / "google/xquad" / f"xquad.{lang}", "validation", table.slice(begin, limit))
        yield f"xquad_{lang}"


SCENARIOS: dict[str, Callable[[Path, Path, Any, int, int], Iterator[str]]] = {
    "choices": _choices,
    "letters": _letters,
    "xnli": _xnli,
    "generation": _generation,
}


def _questions(hub: Path, lang: str, tokenizer: Any, limit: int, seed: int) -> Iterator[tuple[str, str, list[str], int]]:
    """Passage, question, four long options and the place of the right one; each passage once."""
    rows = _xquad(hub, lang).to_pylist()
    first = {row["context"]: row["question"] for row in reversed(rows)}
    rng = random.Random(seed)
    fitting = [text for text in first if PASSAGE_TOKENS[0] <= len(tokenizer(text)["input_ids"]) <= PASSAGE_TOKENS[1]]
    if len(fitting) < limit:
        raise SystemExit(f"only {len(fitting)} passages in {lang} have {PASSAGE_TOKENS[0]} to {PASSAGE_TOKENS[1]} tokens")
    sentences = {text: _sentences(text) for text in fitting}
    for passage in rng.sample(fitting, limit):
        options = [rng.choice(sentences[passage])]
        options += [rng.choice(sentences[other]) for other in rng.sample([t for t in fitting if t != passage], 3)]
        right = rng.randrange(4)
        options[0], options[right] = options[right], options[0]
        yield passage, first[passage], options, right


def _sentences(text: str) -> list[str]:
    """The sentences of a passage that are long enough for an option; the passage's beginning if none is."""
    return [found for found in re.split(r"(?<=[.!?])\s+", text) if 60 <= len(found) <= 300] or [text[:200]]


def _xquad(hub: Path, lang: str) -> pa.Table:
    """XQuAD of a language, in the columns of google/xquad."""
    return pq.read_table(hub / "google/xtreme" / f"XQuAD.{lang}" / "validation-00000-of-00001.parquet")


def _write(folder: Path, split: str, rows: Rows | pa.Table) -> None:
    """Write a split as the hub lays it."""
    folder.mkdir(parents=True, exist_ok=True)
    table = rows if isinstance(rows, pa.Table) else pa.Table.from_pylist(rows, schema=_schema(rows))
    pq.write_table(table, folder / f"{split}-00000-of-00001.parquet")


def _schema(rows: Sequence[dict[str, Any]]) -> pa.Schema:
    """Whole numbers and strings; a column without any value is one of strings."""
    kinds = {name: pa.int64() if isinstance(value, int) else pa.string() for name, value in rows[0].items()}
    return pa.schema(list(kinds.items()))
