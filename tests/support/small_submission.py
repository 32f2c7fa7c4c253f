"""A small submission and its labels, all nine tasks in all their languages, with what the official script makes of them.

write_submission(tmp_path / "predictions", tmp_path / "labels")

OFFICIAL holds numbers that evaluate.py of google-research/xtreme 838c13b with seqeval 0.0.12 printed for exactly these files.
"""

import json
import zlib
from pathlib import Path

from harness.report.submission.xtreme_format import TASKS

WORDS = ["the old house", "old house.", "an old, old house", "der Hund", "Hund", "el perro", "perro", "الكتاب", "كتاب"]
WORDS += [
    "北京大学（Peking University）",
    "北京大学",
    "天氣很好",
    "天氣好",
    "भारत।",
    "भारत",
    "của tôi",
    "tôi",
    "...",
    "The",
    "",
    "house 5",
]
NUM_ROWS = 5


def draw(options, *key):
    """One of the options, the same for the same key anywhere."""
    return options[zlib.crc32(" ".join(map(str, key)).encode()) % len(options)]


def _rows(task, lang):
    """(gold, prediction) of each row; about every second prediction is right."""
    for n in range(NUM_ROWS):
        key = (task.name, lang, n)
        if task.kind == "tags":
            length = 1 + zlib.crc32(f"{key}".encode()) % 6
            gold = [draw(task.values, *key, i) for i in range(length)]
            gold = [gold[i - 1] if i and draw([0, 0, 1], *key, i, "run") else tag for i, tag in enumerate(gold)]
            given = [draw([tag, tag, draw(task.values, *key, i, "other")], *key, i, "right") for i, tag in enumerate(gold)]
            yield gold, given
        elif task.kind == "answers":
            golds = [draw(WORDS, *key, i) for i in range(1 + n % 2)]
            yield golds, draw([golds[-1], draw(WORDS, *key, "other"), f"{golds[0]} {draw(WORDS, *key, 'more')}"], *key, "right")
        else:
            options = {"positions": ["0", "1", "2", "3", "4"], "pairs": [f"{lang}-{n:09}\ten-{i:09}" for i in range(3)]}
            gold = draw(options.get(task.kind, task.values), *key)
            yield gold, draw([gold, draw(options.get(task.kind, task.values), *key, "other")], *key, "right")


def write_submission(predictions: Path, labels: Path) -> None:
    for task in TASKS.values():
        for lang in task.languages:
            golds, given = zip(*_rows(task, lang))
            if task.kind == "answers":
                asked = [
                    {"id": f"q{n}", "question": "?", "answers": [{"text": text} for text in gold]} for n, gold in enumerate(golds)
                ]
                gold_text = json.dumps({"data": [{"paragraphs": [{"context": "", "qas": asked}]}]})
                given_text = json.dumps({f"q{n}": text for n, text in enumerate(given) if (n, lang) != (2, "en")})
            elif task.kind == "tags":
                gold_text, given_text = (
                    "\n".join("".join(f"{tag}\n" for tag in tags) for tags in side) for side in (golds, given)
                )
            else:
                gold_text, given_text = ("".join(f"{line}\n" for line in side) for side in (golds, given))
                if task.kind == "pairs":
                    given_text = given_text.split("\n", 1)[1] + "no pair\n"
            for root, text in ((labels, gold_text), (predictions, given_text)):
                path = task.file(root, lang)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")


OFFICIAL = {
    "pawsx": {"avg_accuracy": 74.28571428571429, "avg_metric": 74.28571428571429},
    "xnli": {"avg_accuracy": 61.333333333333336, "avg_metric": 61.333333333333336},
    "panx": {
        "avg_f1": 65.02664420404639,
        "avg_precision": 64.99592054187643,
        "avg_recall": 65.47746070578889,
        "avg_metric": 65.02664420404639,
    },
    "udpos": {
        "avg_f1": 59.422813733251985,
        "avg_precision": 57.238018316965686,
        "avg_recall": 62.07817791760939,
        "avg_metric": 59.422813733251985,
    },
    "bucc2018": {"avg_f1": 65.0, "avg_precision": 65.0, "avg_recall": 65.0, "avg_metric": 65.0},
    "tatoeba": {"avg_accuracy": 60.55555555555556, "avg_metric": 60.55555555555556},
    "xquad": {"avg_exact_match": 38.18181818181818, "avg_f1": 55.316017316017316, "avg_metric": 46.74891774891775},
    "mlqa": {"avg_exact_match": 45.714285714285715, "avg_f1": 58.06593406593406, "avg_metric": 51.89010989010988},
    "tydiqa": {"avg_exact_match": 31.11111111111111, "avg_f1": 44.07407407407407, "avg_metric": 37.59259259259259},
    "classification": 67.80952380952381,
    "tagging": 62.22472896864919,
    "qa": 45.41054007720674,
    "retrieval": 62.77777777777778,
}
OFFICIAL_OVERALL = 57.983964593724636
