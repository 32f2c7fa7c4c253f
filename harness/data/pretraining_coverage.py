"""Which languages of the table a backbone's pretraining held, and where that is written.

covered(preset.languages).languages     # ('af', 'ar', ...); None where it is not recorded
corpora()["mc4"].source                 # the corpora that several presets share: corpora.yaml
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

from harness.api.errors import UserError, did_you_mean
from harness.specs.loader import load_yaml
from harness.specs.preset import Coverage, Evidence

FILE = Path(__file__).with_name("corpora.yaml")


@dataclass(frozen=True, kw_only=True, slots=True)
class Covered:
    """Languages with their source."""

    languages: tuple[str, ...]
    "ISO 639-1 codes."
    source: str
    "Where they are listed."
    evidence: Evidence
    "How they are known."


@cache
def corpora() -> Mapping[str, Covered]:
    """The corpora of corpora.yaml by name."""
    rows = load_yaml(FILE.read_text(encoding="utf-8"))
    return MappingProxyType(
        {
            name: Covered(languages=tuple(row["languages"]), source=row["source"], evidence=row["evidence"])
            for name, row in rows.items()
        }
    )


def covered(coverage: Coverage | None) -> Covered | None:
    """The languages that a preset states; None where it states none; raises UserError for a corpus there is not."""
    if coverage is None:
        return None
    if coverage.corpus is not None:
        if coverage.corpus not in corpora():
            raise UserError(f"unknown corpus '{coverage.corpus}'", todo=did_you_mean(coverage.corpus, corpora()))
        return corpora()[coverage.corpus]
    assert coverage.codes is not None
    assert coverage.evidence is not None
    return Covered(languages=coverage.codes, source=coverage.source, evidence=coverage.evidence)
