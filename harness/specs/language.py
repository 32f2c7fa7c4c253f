"""A language as a table of languages says it: harness/data/languages.yaml, and languages.yaml beside tasks of one's own.

LanguageSpec(iso3="amh", name="Amharic", family="Afro-Asiatic", script="Ethi", order="SOV")
"""

from typing import Literal

from pydantic import Field

from harness.specs.model import Spec


class LanguageSpec(Spec):
    """One row: `am: {iso3: amh, name: Amharic, family: Afro-Asiatic, script: Ethi, order: SOV}`."""

    iso3: str = Field(pattern=r"^[a-z]{3}$")
    "Code of three letters (ISO 639-3)."
    name: str = Field(min_length=1)
    "English name, as prompts say it."
    family: str = Field(min_length=1)
    "Language family; `isolate` for none."
    script: str = Field(pattern=r"^[A-Z][a-z]{3}$")
    "ISO 15924 code: Latn, Cyrl, Arab, Deva, Ethi, ..."
    order: Literal["SVO", "SOV", "VSO", "VOS", "OVS", "OSV"] | None = None
    "Dominant order of subject, verb and object; left out where none dominates."
