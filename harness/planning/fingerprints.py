"""Fingerprints of the rows that stages read, each asked for once, and which rows are not on this machine.

fingerprints = Fingerprints(catalog=catalog, place=place)
fingerprints.of(spec, "train", "en")          # a text, or Missing
fingerprints.data(spec, "train")              # {'en': 'hub:...'}; raises MissingData, WrongData
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from harness.api.errors import MissingData, WrongData
from harness.data.examples import Split, data_fingerprint
from harness.data.locations import DataPlace
from harness.planning.catalog.catalog import Catalog
from harness.runtime.arguments import file_of
from harness.specs.task import TaskSpec

Need = tuple[TaskSpec, Split, Sequence[str]]
"Rows that something reads: of a task's split, in these languages."


@dataclass(frozen=True, kw_only=True)
class Missing:
    """Rows that are not on this machine, or of which what describes them cannot be read."""

    task: str
    split: Split
    lang: str
    error: MissingData | WrongData

    @property
    def is_wrong(self) -> bool:
        """Whether they are here and wrong."""
        return isinstance(self.error, WrongData)


@dataclass(kw_only=True)
class Fingerprints:
    """What is known of the rows."""

    catalog: Catalog
    place: DataPlace
    _found: dict[tuple[str, Split, str], str | Missing] = field(default_factory=dict)

    def of(self, spec: TaskSpec, split: Split, lang: str) -> str | Missing:
        """Fingerprint of the rows of a split in a language."""
        key = (spec.task, split, lang)
        if key not in self._found:
            folder = self.catalog.folder("task", file_of(spec.task))
            try:
                found: str | Missing = data_fingerprint(spec, split=split, langs=[lang], place=self.place, task_folder=folder)
            except (MissingData, WrongData) as error:
                found = Missing(task=spec.task, split=split, lang=lang, error=error)
            self._found[key] = found
        return self._found[key]

    def data(self, spec: TaskSpec, split: Split, langs: Sequence[str] = ()) -> dict[str, str]:
        """Language -> fingerprint, of the training languages if none are named; raises MissingData and WrongData."""
        found = {lang: self.of(spec, split, lang) for lang in langs or spec.train_languages}
        for print_ in found.values():
            if isinstance(print_, Missing):
                raise print_.error
        return {lang: str(print_) for lang, print_ in found.items()}

    def missing(self, needs: Iterable[Need]) -> tuple[Missing, ...]:
        """What is not here of the rows that are needed, each once."""
        found = [self.of(spec, split, lang) for spec, split, langs in needs for lang in langs]
        return tuple({(m.task, m.split, m.lang): m for m in found if isinstance(m, Missing)}.values())
