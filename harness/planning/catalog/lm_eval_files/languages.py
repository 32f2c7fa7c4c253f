"""The language of a task of lm-evaluation-harness, as far as its file says it; nothing is guessed.

language_of(name="belebele_deu_Latn", dataset="facebook/belebele", config="deu_Latn")                      # 'de'
language_of(name="hellaswag", dataset="Rowan/hellaswag")                     # 'en': a fact of known_languages.yaml
language_of(name="flores_de-es", config="all", answer="{{sentence_spa_Latn}}")      # 'es': a translation's is its answers'
language_of(name="my_task")                                                 # 'und': nothing says it

What is known of a dataset comes first.  Then, of a configuration or name that pairs two languages (de-es), the one in which the
column that is asked for names its answers; else none, for such rows are in both (mlqa.ar.de).  Then a code (ISO 639-1 or -3) or
English name of the table that is the whole configuration, a code with a script (deu_Latn, in either case), and a code of two
letters at the end, where it is no English word and no usual abbreviation.  A script that is not the table's makes another
language: hi_Latn.
"""

import fnmatch
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from harness.data.languages import UNDETERMINED, language_table, languages
from harness.specs.loader import load_yaml

FACTS = Path(__file__).with_name("known_languages.yaml")
OTHER_CODES = {
    "ajp": "apc",
    "als": "sq",
    "arb": "ar",
    "azj": "az",
    "bxr": "bua",
    "ekk": "et",
    "fas": "fa",
    "fil": "tl",
    "gaz": "om",
    "khk": "mn",
    "lvs": "lv",
    "msa": "ms",
    "npi": "ne",
    "ory": "or",
    "pbt": "ps",
    "plt": "mg",
    "quy": "qu",
    "swa": "sw",
    "uzn": "uz",
    "ydd": "yi",
    "zho": "zh",
}
"Codes of three letters that datasets use for a language of the table beside its own."
OTHER_NAMES = {
    "bangla": "bn",
    "chinese simplified": "zh",
    "chinese traditional": "zh",
    "farsi": "fa",
    "filipino": "tl",
    "kirundi": "rn",
    "north macedonian": "mk",
    "oriya": "or",
    "pidgin": "pcm",
    "uighur": "ug",
}
"English names that datasets use for a language of the table beside its own, in small letters."
OTHER_SCRIPTS = {"Hans": "Hani", "Hant": "Hani", "Hang": "Kore"}
"Scripts as FLORES calls them."
AT_AN_END = frozenset(
    ["bg", "bn", "de", "el", "en", "es", "eu", "fr", "gu", "hu", "ja", "ko", "lt", "nl", "ru", "sv", "sw", "th", "ur", "vi", "zh"]
)
"Codes of two letters that are no words (no, it) and no usual abbreviations (ml, mt, ar): they count at the end of a name."
_CODE = r"[a-z]{3}[_-][A-Za-z]{4}|[a-z]{2,3}"
_WITH_SCRIPT = re.compile(r"(?<![A-Za-z])([a-z]{3})[_-]([A-Za-z]{4})(?![A-Za-z])")
_PAIR = re.compile(rf"(?<![A-Za-z])({_CODE})-({_CODE})(?![A-Za-z])")


def language_of(*, name: str, dataset: str | None = None, config: str | None = None, answer: str = "") -> str:
    """The code of a task's language, `und` where nothing says it; `answer` is the template or column of the answers."""
    known = _known(name, dataset or "", config or "")
    if known is not None:
        return known
    if any(_pairs(text) for text in (name, config or "")):
        return _answered_in(answer, {lang for text in (name, config or "") for pair in _pairs(text) for lang in pair})
    for text, is_name in ((config or "", False), (name, True)):
        found = set(_said_by(text, is_name=is_name))
        if found:
            return found.pop() if len(found) == 1 else UNDETERMINED
    return UNDETERMINED


def _pairs(text: str) -> list[tuple[str, str]]:
    """The pairs of languages in a text: de-es, eng_Latn-wol_Latn."""
    found = [tuple(_label(code) for code in match) for match in _PAIR.findall(text)]
    return [(first, second) for first, second in found if first and second]


def _answered_in(answer: str, pair: set[str]) -> str:
    """The language of a pair that the column of the answers names; `und` where it names none."""
    words = [*("_".join(parts) for parts in _WITH_SCRIPT.findall(answer)), *re.findall(r"[A-Za-z]+", answer)]
    found = {label for word in words if (label := _label(word)) in pair}
    return found.pop() if len(found) == 1 else UNDETERMINED


def _said_by(text: str, *, is_name: bool) -> Iterator[str]:
    """The languages that a configuration or a task's name says."""
    whole = _label(text) or _named(text)
    if whole:
        yield whole
        return
    scripted = [(code, script) for code, script in _WITH_SCRIPT.findall(text) if script.capitalize() in _scripts()]
    if scripted:
        yield from (_label(f"{code}_{script}") or UNDETERMINED for code, script in scripted)
        return
    dotted = [code_of(part) for part in text.split(".")[1:]]
    if dotted and all(dotted):
        yield from (lang for lang in dotted if lang)
        return
    parts = re.split(r"[_.\s-]", text)
    codes = [part for part in parts[1:] if part in AT_AN_END]
    if codes and parts[-1] in AT_AN_END:
        yield from codes
    elif is_name and (named := _named(parts[-1])):
        yield named


def _label(code: str) -> str | None:
    """The table's code for a code, perhaps with a script in either case (hin_latn); None where it has none."""
    if len(code) < 8:
        return code_of(code)
    lang, script = code_of(code[:3]), code[4:].capitalize()
    if lang is None:
        return None
    own, wanted = languages()[lang].script, OTHER_SCRIPTS.get(script, script)
    written = f"{lang}_{wanted}"
    return lang if own in ("", wanted) else written if written in languages() else None


def code_of(text: str) -> str | None:
    """The table's code for a code of two or three letters; None for anything else."""
    return text if text in languages() else OTHER_CODES.get(text) or language_table().iso3.get(text)


def _named(text: str) -> str | None:
    """The code of a language by its English name, whatever the case, with blanks or _ between its words."""
    words = " ".join(re.split(r"[_\s-]+", text)).lower()
    return OTHER_NAMES.get(words) or language_table().names.get(words)


def _scripts() -> set[str]:
    return {*(row.script for row in languages().values()), *OTHER_SCRIPTS}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Fact:
    """A row of `by_name`: patterns of the whole text, None = any, and the language where the patterns do not hold it."""

    dataset: re.Pattern[str] | None
    config: re.Pattern[str] | None
    task: re.Pattern[str] | None
    language: str

    def says(self, *, dataset: str, config: str, task: str) -> str | None:
        """The language of a task that it fits; None where it does not fit."""
        if self.dataset is None and dataset:
            return None  # a name alone is a fact of a file that names no dataset
        found = self.language
        for pattern, text in ((self.dataset, dataset), (self.config, config), (self.task, task)):
            match = pattern.fullmatch(text) if pattern else None
            if pattern and not match:
                return None
            if match and match.groupdict():
                said = _label(match["language"]) or _label(match["language"].lower()) or _named(match["language"])
                if said is None:
                    return None
                found = said
        return found


@cache
def _facts() -> tuple[tuple[_Fact, ...], dict[str, str], tuple[tuple[re.Pattern[str], str], ...]]:
    """Rows of `by_name`; then the languages of datasets, `und` of those that are not in one: by name, and by pattern."""
    content = load_yaml(FACTS.read_text(encoding="utf-8"))
    rows = tuple(
        _Fact(**{key: _pattern(row.get(key)) for key in ("dataset", "config", "task")}, language=row.get("language", ""))
        for row in content["by_name"]
    )
    said = [(name, lang) for lang, names in content["one_language"].items() for name in names]
    said += [(name, UNDETERMINED) for name in content["not_one"]]
    patterns = [(pattern, lang) for name, lang in said if "*" in name and (pattern := _pattern(name))]
    return rows, {name: lang for name, lang in said if "*" not in name}, tuple(patterns)


@lru_cache(maxsize=4096)
def _rows_of(dataset: str) -> tuple[_Fact, ...]:
    """The rows of `by_name` that can fit a dataset."""
    rows = _facts()[0]
    return tuple(row for row in rows if (row.dataset.fullmatch(dataset) if row.dataset else not dataset))


def _pattern(text: Any) -> re.Pattern[str] | None:
    """A pattern of the whole text, or of one of several; * is any letters, ? one, {language} a language."""
    texts = text if isinstance(text, list) else [text] if text else []
    made = "|".join(fnmatch.translate(one).replace("\\{language\\}", "(?P<language>[A-Za-z_]+?)") for one in texts)
    return re.compile(made) if made else None


def _known(task: str, dataset: str, config: str) -> str | None:
    """The language that is known of a dataset; `und` where it is known to be none or several, None where nothing is known."""
    _, exact, patterns = _facts()
    for row in _rows_of(dataset):
        found = row.says(dataset=dataset, config=config, task=task)
        if found is not None:
            return found
    return exact.get(dataset) or next((lang for pattern, lang in patterns if pattern.fullmatch(dataset)), None)
