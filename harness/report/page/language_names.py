"""Languages of a page with what they are filtered and sorted by.

language_name("de")                # 'German (de)'
language_rows(["de", "sw"])        # {'de': {'name': 'German', 'family': 'Indo-European', 'script': 'Latn'}, 'sw': ...}
"""

from collections.abc import Iterable

from harness.api.errors import UserError
from harness.data.languages import language


def language_name(code: str) -> str:
    """English name and code; the code alone for a language that the table lacks."""
    row = language_rows([code])[code]
    return f"{row['name']} ({code})" if row["name"] != code else code


def language_rows(codes: Iterable[str]) -> dict[str, dict[str, str]]:
    """Name, family and script of each; empty where they are not recorded."""
    found = {}
    for code in codes:
        try:
            row = language(code)
        except UserError:  # of an older run, whose table had it
            found[code] = {"name": code, "family": "", "script": ""}
            continue
        found[code] = {"name": row.name, "family": row.family, "script": row.script}
    return found
