"""The language table: how each language is spelled by the datasets, and what linguistics says of it.

language("de").name                          # 'German'
fill("udpos.{name}", "de")                   # 'udpos.German'; also {lang} {iso3} {name_lower}
groups("script", ["de", "ru", "sw"])         # {'Cyrl': ['ru'], 'Latn': ['de', 'sw']}
in_order(["sw", "en", "de"])                 # ['en', 'de', 'sw']: as they are printed everywhere
"""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

from harness.api.errors import UserError, did_you_mean
from harness.specs.loader import load_yaml

TABLE = Path(__file__).with_suffix(".yaml")
PLACEHOLDERS = ("lang", "iso3", "name", "name_lower")
GROUPINGS = ("family", "script", "word_order", "covered")
"What languages can be grouped by."
COVERED, NOT_COVERED, NOT_RECORDED = "covered", "not covered", "not recorded"
UNDETERMINED = "und"
"ISO 639's code for a language that nothing says: of tasks of other harnesses.  It is no row of the table."
_BRACES = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Language:
    """One row of languages.yaml."""

    code: str
    "ISO 639-1 code as XTREME uses it."
    iso3: str
    "Code of three letters as Tatoeba spells it."
    name: str
    "English name as the `udpos.<Name>` configurations spell it."
    family: str
    "Language family; `isolate` for none."
    script: str
    "ISO 15924 code."
    word_order: str | None
    "SVO, SOV or VSO; None where no order dominates or it is not recorded."
    benchmark: str | None
    "`xtreme` or, for those that XTREME-R adds, `xtreme_r`; None for any other."


@cache
def languages() -> Mapping[str, Language]:
    """The whole table by code, in the order of the file."""
    rows = load_yaml(TABLE.read_text(encoding="utf-8"))
    optional = ("order", "benchmark")
    found = {}
    for code, row in rows.items():
        order, benchmark = (row.pop(key, None) for key in optional)
        found[code] = Language(code=code, word_order=order, benchmark=benchmark, **row)
    return MappingProxyType(found)


def xtreme_languages() -> tuple[str, ...]:
    """Codes of XTREME's 40 languages, in the order of the file."""
    return tuple(code for code, row in languages().items() if row.benchmark == "xtreme")


def language(code: str, *, where: str = "") -> Language:
    """The row of a code, an empty one for `und`; raises UserError with the nearest known code or name."""
    table = languages()
    if code == UNDETERMINED:
        name = "an undetermined language"
        return Language(code=code, iso3=code, name=name, family="", script="", word_order=None, benchmark=None)
    if code in table:
        return table[code]
    spellings = {form: row.code for row in table.values() for form in (row.iso3, row.name, row.name.lower())}
    if code in spellings:
        todo = f"did you mean '{spellings[code]}'?"
    else:
        todo = f"{did_you_mean(code, table, listed=len(table))}  New languages go into harness/data/{TABLE.name}."
    raise UserError(f"unknown language '{code}'", where=where, expected="an ISO 639-1 code of the language table", todo=todo)


def groups(by: str, codes: Iterable[str], *, covered: Collection[str] | None = None) -> dict[str, list[str]]:
    """Group -> those of the codes that are in it, groups by name with `not recorded` last, codes in the order given.

    `covered` are the languages of a backbone's pretraining, for by="covered"; None = not recorded.  Raises UserError for codes
    that the table lacks and for an unknown `by`.
    """
    if by not in GROUPINGS:
        raise UserError(f"languages cannot be grouped by '{by}'", todo=did_you_mean(by, GROUPINGS))
    found: dict[str, list[str]] = {}
    for code in codes:
        row = language(code)
        if by == "covered":
            name = NOT_RECORDED if covered is None else COVERED if code in covered else NOT_COVERED
        else:
            name = getattr(row, by) or NOT_RECORDED
        found.setdefault(name, []).append(code)
    return dict(sorted(found.items(), key=lambda item: (item[0] == NOT_RECORDED, item[0])))


def in_order(codes: Iterable[str]) -> list[str]:
    """Codes, each once, in the order in which languages are printed: English, of which there is training data, then by code."""
    return sorted(dict.fromkeys(codes), key=lambda code: (code != "en", code))


def mentions_language(text: str) -> bool:
    """Whether the text has a placeholder, so that it differs from language to language."""
    return _BRACES.search(text) is not None


def fill(text: str, lang: str, *, where: str = "") -> str:
    """Replace {lang} {iso3} {name} {name_lower}; raises UserError for any other name in braces."""
    row = language(lang, where=where)
    values = {"lang": row.code, "iso3": row.iso3, "name": row.name, "name_lower": row.name.lower()}

    def value(match: re.Match[str]) -> str:
        if match[1] not in values:
            raise UserError(
                f"unknown placeholder '{match[0]}' in '{text}'", where=where, todo=did_you_mean(match[1], PLACEHOLDERS)
            )
        return values[match[1]]

    return _BRACES.sub(value, text)
