"""Languages of the user's own: read from `languages.yaml` beside their tasks, kept in what runs write, told to later commands.

    rows, errors = rows_of(read_document(Path("my_tasks/languages.yaml")))    # every mistake with its file and line
    put_own_languages(rows, of="files")                                       # from here on `language("am")` knows them
    facts = own_facts(["am", "de"])                         # {'am': LanguageSpec(...)}: what a request file keeps
    learn(facts, where="runs/x/requests/0f3a.json")         # and a later command knows

What contradicts the shipped table is an error: a board's groups must not depend on who drew it.
"""

import re
from collections.abc import Collection, Iterable, Mapping

from harness.api.errors import UserError
from harness.data.languages import UNDETERMINED, Language, language_table, own_languages, put_own_languages, shipped_languages
from harness.specs.language import LanguageSpec
from harness.specs.loader import Document, parse

CODE = re.compile(r"[a-z]{2,3}(_[A-Z][a-z]{3})?")
"ISO 639-1 or 639-3, with a script for a language in another than its usual one."


def rows_of(document: Document) -> tuple[list[Language], list[UserError]]:
    """The languages of a file, and every mistake in it."""
    rows: list[Language] = []
    errors = list(document.errors)
    for code in document.values:
        spec, wrong = parse(document, LanguageSpec, at=(code,))
        if not CODE.fullmatch(code) or code == UNDETERMINED:
            expected = "an ISO 639 code of two or three letters, e.g. am, yue, or with a script, e.g. hi_Latn"
            wrong = [UserError(f"'{code}' is no code of a language", where=document.where((code,)), expected=expected)]
        if spec and not wrong:
            wrong = list(_contradictions(code, spec, where=document.where((code,))))
        errors += wrong
        if spec and not wrong:
            rows.append(_language(code, spec))
    return rows, errors


def twice(rows: Iterable[Language], known: Mapping[str, Language], *, where: str) -> list[UserError]:
    """The mistakes of languages that another file has told otherwise."""
    return [
        UserError(f"language '{row.code}' is told in two ways", where=where, found=str(known[row.code]), todo="keep one of them")
        for row in rows
        if known.get(row.code, row) != row
    ]


def _contradictions(code: str, spec: LanguageSpec, *, where: str) -> Iterable[UserError]:
    """What a row says that the shipped table says otherwise: of its own code, or by calling a language that another code has."""
    shipped = shipped_languages().get(code)
    if shipped:
        known = {"iso3": shipped.iso3, "name": shipped.name, "family": shipped.family, "script": shipped.script}
        known["order"] = shipped.word_order or ""
        for key, value in spec.model_dump(exclude_none=True).items():
            if value != known[key]:
                todo = f"leave '{code}' out: it is in the table already (`ls languages --languages {code}`)"
                expected = known[key] or "none, as the table records none"
                yield UserError(f"'{code}' has another {key}", where=where, expected=expected, found=str(value), todo=todo)
        return
    for row in shipped_languages().values():
        same = row.iso3 == spec.iso3 or row.name.lower() == spec.name.lower()
        if same and row.code.partition("_")[0] != code.partition("_")[0]:
            message, found = f"'{code}' is in the table under another code", f"{row.code} {row.name}"
            yield UserError(message, where=where, found=found, todo=f"write '{row.code}' in your tasks")
            return


def _language(code: str, spec: LanguageSpec) -> Language:
    values = spec.model_dump()
    return Language(code=code, word_order=values.pop("order"), benchmark=None, **values)


def own_facts(codes: Collection[str]) -> dict[str, LanguageSpec]:
    """What is told of those languages that the shipped table lacks, by code."""
    own = {row.code: row for row in own_languages()}
    return {
        code: LanguageSpec.model_validate(
            {"iso3": row.iso3, "name": row.name, "family": row.family, "script": row.script, "order": row.word_order}
        )
        for code, row in sorted(own.items())
        if code in codes
    }


def learn(facts: Mapping[str, LanguageSpec], *, where: str) -> None:
    """Tell this process of languages that a run wrote down; raises UserError where the shipped table says otherwise.

    A file of this command that tells of the same language wins.
    """
    if not facts:
        return
    for code, spec in facts.items():
        for error in _contradictions(code, spec, where=where):
            todo = "this version knows the language itself: run the command again without yours"
            raise UserError(error.message, where=where, expected=error.expected, found=error.found, todo=todo)
    rows = [_language(code, spec) for code, spec in facts.items()]
    if any(language_table().rows.get(row.code) != row for row in rows):
        put_own_languages(rows, of="records")
