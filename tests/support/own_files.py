"""Languages and metrics of the user's own as files, and a process without those of other tests.

folder = write_own(tmp_path)        # languages.yaml, metrics/length_match.py, moods.yaml with its rows
"""

import json

from harness.api.registry import METRICS
from harness.data.languages import forget_own_languages

LANGUAGES = {
    "tlh": "{iso3: tlh, name: Klingon, family: constructed, script: Latn, order: OVS}",
    "qya": "{iso3: qya, name: Quenya, family: Elvish, script: Latn}",
}
METRIC = '''"""How often an answer is as long as the right one."""

from _letters import letters

KEYS = ("same_length",)
SIGNATURE = "length_match|letters|1"


def stats(prediction, gold, *, lang):
    return (float(prediction is not None and letters(prediction) == letters(gold)), 1.0)


def combine(totals):
    return {"same_length": 100 * totals[..., 0] / totals[..., 1]}


GOLDEN = ({"predictions": ["ab", "a"], "golds": ["cd", "cd"], "lang": "de", "scores": {"same_length": 50.0}},)
'''
LETTERS = "def letters(text):\n    return len(str(text))\n"
TASK = """
task: moods
type: classification
description: Moods.
languages: [tlh, qya, am]
data: {test: {files: {rows: "moods.{name}.jsonl"}, reader: jsonl}}
fields: {text: text, label: label}
labels: [good, bad]
metrics: METRICS
chance: 50
selection: none
prompt: {context: "Is this {{ language }} sentence good or bad? {{ text }}", continuations: {good: good, bad: bad}}
"""


def write_own(folder, *, metrics="[length_match, accuracy]"):
    """A task in two languages that the shipped table lacks, scored by a metric of its own."""
    (folder / "metrics").mkdir(parents=True, exist_ok=True)
    (folder / "metrics/length_match.py").write_text(METRIC, encoding="utf-8")
    (folder / "metrics/_letters.py").write_text(LETTERS, encoding="utf-8")
    write_languages(folder, **LANGUAGES)
    (folder / "moods.yaml").write_text(TASK.replace("METRICS", metrics).lstrip(), encoding="utf-8")
    for name in ("Klingon", "Quenya", "Amharic"):
        lines = [json.dumps({"text": f"{name} {n}", "label": "bad" if n % 2 else "good"}) for n in range(8)]
        (folder / f"moods.{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def write_languages(folder, **rows):
    """A languages.yaml of these rows."""
    (folder / "languages.yaml").write_text("".join(f"{code}: {row}\n" for code, row in rows.items()), encoding="utf-8")


def forget_own():
    """This process as it was before any file or record of the user's own was read."""
    forget_own_languages()
    METRICS.put_own(())
