"""The language of a task of lm-evaluation-harness, as far as its dataset's configuration or its own name says it.

language_of(name="belebele_deu_Latn", dataset_name="deu_Latn")     # 'de'
language_of(name="hellaswag", dataset_name=None)                    # 'und': nothing says it, and it is not guessed

A code counts where the language table has it: ISO 639-1 (de), three letters (deu) or FLORES's (deu_Latn, whose script must be the
table's: Hindi in Latin letters is not what the table calls hi).  Two languages in one name (mlqa.ar.de) are none.
"""

import re
from functools import cache

from harness.data.languages import UNDETERMINED, languages

THREE_LETTERS = {
    "zho": "zh",
    "arb": "ar",
    "ekk": "et",
    "fas": "fa",
    "swa": "sw",
    "msa": "ms",
    "azj": "az",
    "quy": "qu",
    "fil": "tl",
}
"Codes of three letters that datasets use for a language of the table beside its own."
SCRIPTS = {"Hans": "Hani", "Hant": "Hani", "Hang": "Kore"}
"Scripts as FLORES calls them."
_FLORES = re.compile(r"([a-z]{3})[_-]([A-Z][a-z]{3})")


def language_of(*, name: str, dataset_name: str | None) -> str:
    """The code of a task's language: by its dataset's configuration, else by a part of its name; `und` where neither says."""
    for text in (dataset_name, name):
        found = _languages_in(text or "")
        if len(found) == 1:
            return found.pop()
        if found:
            break
    return UNDETERMINED


def _languages_in(text: str) -> set[str]:
    """The languages whose codes are the text, or first or last parts of it (all parts between dots)."""
    flores = _FLORES.findall(text)
    if flores:
        return {_of_flores(*parts) for parts in flores}
    whole = code_of(text)
    if whole:
        return {whole}
    if "." in text:
        return {lang for part in text.split(".") if (lang := code_of(part))}
    parts = re.split(r"[_-]", text)
    found = [code_of(part) for part in parts[1:] or parts]
    return {lang for lang in found if lang}


def _of_flores(iso3: str, script: str) -> str:
    """The table's code for a language in the table's script."""
    lang = code_of(iso3)
    return lang if lang and languages()[lang].script == SCRIPTS.get(script, script) else UNDETERMINED


@cache
def code_of(text: str) -> str | None:
    """The table's code for a code of two or three letters; None for anything else."""
    table = languages()
    if text in table:
        return text
    return THREE_LETTERS.get(text) or next((row.code for row in table.values() if row.iso3 == text), None)
