"""A made-up submission as large as XTREME's test sets, and its label files: the same in every process.

    num_examples = write(Path("predictions"), Path("labels"))         # 530,000 lines, sentences, questions and pairs
    write(Path("predictions"), Path("labels"), share=0.01)            # a hundredth of each file

Words are drawn from the letters of each language's script.  Three predictions of four are right, the others are redrawn or,
where they are texts, cut or lengthened.  Contexts, which label files of questions carry along, have 120 words and four questions
each.  Where XTREME's number of sentences in a language is not known, it is 1,000.
"""

import json
import random
from collections.abc import Sequence
from pathlib import Path

from harness.data.languages import language
from harness.report.submission.xtreme_format import TASKS, OfficialTask

RIGHT = 0.75
"Share of labels, positions and pairs that are right, and of answers that are."
RIGHT_TAGS = 0.92
LENGTHS = {"panx": (3, 12), "udpos": (5, 32)}
"Words of a sentence."
UNKNOWN_ROWS = 1_000
LETTERS = {
    "Arab": "ابتثجحخدذرزسشصضطظعغفقكلمنهوي",
    "Beng": "অআইউএকখগঘচজটডণতথদনপফবভমযরলশসহ",
    "Cyrl": "абвгдежзийклмнопрстуфхцчшщыьэюя",
    "Geor": "აბგდევზთიკლმნოპჟრსტუფქღყშჩცძწჭხჯჰ",
    "Deva": "अआइउएकखगघचजटडणतथदनपफबभमयरलवशसह",
    "Grek": "αβγδεζηθικλμνξοπρστυφχψω",
    "Hani": "的一是不了人我在有他这中大来上国个到说们为子和你地出道也时年北京学天",
    "Hebr": "אבגדהוזחטיכלמנסעפצקרשת",
    "Jpan": "のにはをたがでとしれさあいうえおかきくけこ日本人年大学国会",
    "Kore": "가나다라마바사아자차카타파하고노도로모보소오조초코토포호",
    "Latn": "abcdefghijklmnopqrstuvwxyzáéíóúäöüñçàèğışß",
    "Mlym": "അആഇഉഎകഖഗഘചജടഡണതഥദനപഫബഭമയരലവശസഹ",
    "Taml": "அஆஇஉஎகஙசஞடணதநபமயரலவழளறன",
    "Telu": "అఆఇఉఎకఖగఘచజటడణతథదనపఫబభమయరలవశసహ",
    "Thai": "กขคงจฉชซดตถทนบปผฝพฟภมยรลวศสหอะาิี",
}
"By script; a language of any other is written in Latin letters here."
ARTICLES = {"en": ["the", "a", "an"], "es": ["el", "la"], "de": ["der", "die", "ein"], "vi": ["của", "là"]}
"Words that scripts leave out, among the others."
MARKS = [*".,;!?()\"'-", "。", "，", "؟", "।"]


def write(predictions: Path, labels: Path, *, share: float = 1.0) -> int:
    """Write both folders, which are made, and say how many examples there are."""
    total = 0
    for task in TASKS.values():
        for lang in task.languages:
            num_rows = max(1, round(task.num_rows.get(lang, UNKNOWN_ROWS) * share))
            rng = random.Random(f"{task.name} {lang}")
            golds, given = _TEXTS[task.kind](task, lang, num_rows, rng)
            for root, text in ((labels, golds), (predictions, given)):
                path = task.file(root, lang)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
            total += num_rows
    return total


def _labels(task: OfficialTask, lang: str, num_rows: int, rng: random.Random) -> tuple[str, str]:
    options = task.values or [str(number) for number in range(num_rows)]
    golds = rng.choices(options, k=num_rows)
    given = [gold if rng.random() < RIGHT else rng.choice(options) for gold in golds]
    return _lines(golds), _lines(given)


def _pairs(task: OfficialTask, lang: str, num_rows: int, rng: random.Random) -> tuple[str, str]:
    golds = [f"{lang}-{number:09}\ten-{rng.randrange(10**9):09}" for number in range(num_rows)]
    given = [gold if rng.random() < RIGHT else f"{gold[:-3]}{rng.randrange(1000):03}" for gold in golds]
    return _lines(golds), _lines(rng.sample(given, k=num_rows))


def _tags(task: OfficialTask, lang: str, num_rows: int, rng: random.Random) -> tuple[str, str]:
    """A tag a line and a blank line between sentences; every third entity goes on with its inside tag."""
    golds, given = [], []
    for _ in range(num_rows):
        tags = rng.choices(task.values, weights=_weights(task), k=rng.randint(*LENGTHS[task.name]))
        tags = [f"I{tags[at - 1][1:]}" if at and tags[at - 1][:2] == "B-" else tag for at, tag in enumerate(tags)]
        golds.append(_lines(tags))
        given.append(_lines([tag if rng.random() < RIGHT_TAGS else rng.choice(task.values) for tag in tags]))
    return "\n".join(golds), "\n".join(given)


def _weights(task: OfficialTask) -> list[int]:
    """O is every second tag of an entity file, and no inside tag stands alone; parts of speech are drawn alike."""
    return [{"O": 5, "I": 0}.get(tag[0], 2) if task.name == "panx" else 1 for tag in task.values]


def _answers(task: OfficialTask, lang: str, num_rows: int, rng: random.Random) -> tuple[str, str]:
    words = _words(lang, rng)
    between = "" if lang in ("zh", "ja", "th") else " "
    paragraphs, given = [], {}
    for first in range(0, num_rows, 4):
        asked = []
        for number in range(first, min(first + 4, num_rows)):
            golds = [_text(words, between, rng) for _ in range(rng.choice((1, 1, 1, 2)))]
            answers = [{"text": text, "answer_start": 0} for text in golds]
            asked.append(
                {"id": f"{task.name}-{lang}-{number:06}", "question": between.join(rng.choices(words, k=9)), "answers": answers}
            )
            if rng.random() < 0.999:
                given[asked[-1]["id"]] = _answer(golds[0], words, between, rng)
        paragraphs.append({"context": between.join(rng.choices(words, k=120)), "qas": asked})
    gold = {"version": "1.1", "data": [{"title": "", "paragraphs": paragraphs}]}
    return json.dumps(gold, ensure_ascii=False), json.dumps(given, ensure_ascii=False)


def _answer(gold: str, words: Sequence[str], between: str, rng: random.Random) -> str:
    """What a model answers: the gold text, more or less of it, or something else."""
    drawn = rng.random()
    if drawn < RIGHT / 1.5:
        return gold
    if drawn < 0.8:
        return f"{gold}{between}{_text(words, between, rng)}" if rng.random() < 0.5 else gold[: rng.randint(1, len(gold))]
    return _text(words, between, rng)


def _text(words: Sequence[str], between: str, rng: random.Random) -> str:
    """One to six words, every fourth text with a mark in it."""
    drawn = rng.choices(words, k=rng.choice((1, 1, 2, 2, 3, 4, 6)))
    if rng.random() < 0.25:
        drawn[rng.randrange(len(drawn))] += rng.choice(MARKS)
    return between.join(drawn)


def _words(lang: str, rng: random.Random) -> list[str]:
    letters = LETTERS.get(language(lang).script, LETTERS["Latn"])
    made = ["".join(rng.choices(letters, k=rng.randint(1, 9))).capitalize() for _ in range(2_000)]
    return [word if rng.random() < 0.2 else word.lower() for word in made] + 80 * ARTICLES.get(lang, [])


def _lines(texts: Sequence[str]) -> str:
    return "".join(f"{text}\n" for text in texts)


_TEXTS = {"labels": _labels, "positions": _labels, "pairs": _pairs, "tags": _tags, "answers": _answers}
