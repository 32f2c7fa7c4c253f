"""The language table: how each language is spelled by the datasets, and what linguistics says of it.

language("de").name                          # 'German'
fill("udpos.{name}", "de")                   # 'udpos.German'; also {lang} {iso3} {name_lower}
groups("script", ["de", "ru", "sw"])         # {'Cyrl': ['ru'], 'Latn': ['de', 'sw']}
in_order(["sw", "en", "de"])                 # ['en', 'de', 'sw']: as they are printed everywhere

Languages of the user's own stand beside those of the table, in this process, once `own_languages.py` has told of them.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from harness.api.errors import UserError, did_you_mean
from harness.specs.loader import load_yaml

TABLE = Path(__file__).with_suffix(".yaml")
PLACEHOLDERS = ("lang", "iso3", "name", "name_lower")
GROUPINGS = ("family", "script", "word_order", "covered")
"What languages can be grouped by."
COVERED, NOT_COVERED, NOT_RECORDED = "covered", "not covered", "not recorded"
UNDETERMINED = "und"
"ISO 639's code for a language that nothing says: of tasks of other harnesses.  It is no row of the table."
OWN_FILE = "languages.yaml"
"A file of this name in a folder of --include_path holds languages of the user's own."
TODO_OWN = f"A language of your own goes into {OWN_FILE} in a folder of --include_path."
_BRACES = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Language:
    """One row of languages.yaml."""

    code: str
    "ISO 639-1 code as XTREME uses it, 639-3 where there is none; with a script where that is not the language's usual one."
    iso3: str
    "Code of three letters as Tatoeba spells it."
    name: str
    "English name as the `udpos.<Name>` configurations spell it."
    family: str
    "Language family; `isolate` for none."
    script: str
    "ISO 15924 code; empty where it is not recorded."
    word_order: str | None
    "SVO, SOV or VSO; None where no order dominates or it is not recorded."
    benchmark: str | None
    "`xtreme` or, for those that XTREME-R adds, `xtreme_r`; None for any other."


@dataclass(frozen=True, eq=False)
class Table:
    """Rows by code, and the codes by what else languages are called: the first row of each spelling."""

    rows: Mapping[str, Language]
    iso3: Mapping[str, str]
    names: Mapping[str, str]
    "By English name in small letters."

    @classmethod
    def of(cls, rows: Iterable[Language]) -> "Table":
        """The table of some rows."""
        listed = list(rows)
        return cls(
            rows=MappingProxyType({row.code: row for row in listed}),
            iso3={row.iso3: row.code for row in reversed(listed)},
            names={row.name.lower(): row.code for row in reversed(listed)},
        )


_OWN: dict[str, dict[str, Language]] = {"records": {}, "files": {}}
"Languages of the user's own in this process: those that records of runs tell, then those of files, which win."
_CURRENT: list[Table] = []
"The table of this process, once it was asked for."


@cache
def shipped_languages() -> Mapping[str, Language]:
    """The rows of harness/data/languages.yaml by code, in the order of the file."""
    rows = load_yaml(TABLE.read_text(encoding="utf-8"))
    optional = ("order", "benchmark")
    found = {}
    for code, row in rows.items():
        order, benchmark = (row.pop(key, None) for key in optional)
        found[code] = Language(code=code, word_order=order, benchmark=benchmark, **{"script": "", **row})
    return MappingProxyType(found)


def language_table() -> Table:
    """The whole table of this process."""
    if not _CURRENT:
        own = {**_OWN["records"], **_OWN["files"]}
        _CURRENT.append(Table.of([*shipped_languages().values(), *(own[code] for code in sorted(own))]))
    return _CURRENT[0]


def put_own_languages(rows: Iterable[Language], *, of: Literal["files", "records"]) -> None:
    """Put languages beside the shipped ones: those of files in the place of the files before, those of records beside others.

    `own_languages.py` has checked them; a code of the shipped table stays as it is there.
    """
    if of == "files":
        _OWN[of].clear()
    _OWN[of].update((row.code, row) for row in rows if row.code not in shipped_languages())
    _CURRENT.clear()


def forget_own_languages() -> None:
    """Take the user's own languages away again, those of files and of records."""
    for rows in _OWN.values():
        rows.clear()
    _CURRENT.clear()


def own_languages() -> list[Language]:
    """The languages that are not in the shipped table; asked of every task, so the table need not be read for it."""
    return list({**_OWN["records"], **_OWN["files"]}.values())


def languages() -> Mapping[str, Language]:
    """The whole table by code, in the order of the file, the user's own languages last."""
    return language_table().rows


def xtreme_languages() -> tuple[str, ...]:
    """Codes of XTREME's 40 languages, in the order of the file."""
    return tuple(code for code, row in shipped_languages().items() if row.benchmark == "xtreme")


def language(code: str, *, where: str = "") -> Language:
    """The row of a code, an empty one for `und`; raises UserError with the nearest known code or name."""
    table = language_table()
    if code == UNDETERMINED:
        name = "an undetermined language"
        return Language(code=code, iso3=code, name=name, family="", script="", word_order=None, benchmark=None)
    if code in table.rows:
        return table.rows[code]
    expected = "a code of the language table: `run_eval.py ls languages`"
    raise UserError(f"unknown language '{code}'", where=where, expected=expected, todo=near_languages(code))


def near_languages(text: str) -> str:
    """What to write in the place of an unknown language, and where one's own are told."""
    table = language_table()
    spelled = table.iso3.get(text) or table.names.get(text.lower())
    near = f"did you mean '{spelled}'?" if spelled else did_you_mean(text, table.rows)
    return f"{near}  {TODO_OWN}"


def held(code: str, covered: Collection[str] | None) -> bool | None:
    """Whether a backbone's pretraining held a language; None where it is not recorded.

    Records say what they hold of XTREME's and XTREME-R's languages; of another they can say that it is there, not that it lacks.
    """
    if covered is None or code in covered:
        return None if covered is None else True
    row = languages().get(code)
    return None if row is None or row.benchmark is None else False


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
            name = {None: NOT_RECORDED, True: COVERED, False: NOT_COVERED}[held(code, covered)]
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
