"""Which tasks --tasks names: each by its name, or several by a group, a tag or a glob.

    chosen = selected(request, catalog=catalog, errors=errors)
    chosen.entries, chosen.left_out       # name -> Entry; the parts of --tasks that lost tasks to --languages, with these

A task of lm-eval has one language, and a group of them one task for each: --languages then chooses among its members.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from harness.api.errors import UserError, collecting
from harness.planning.catalog.catalog import Catalog, Entry
from harness.planning.request import RunRequest
from harness.specs.task import TaskSpec


@dataclass(kw_only=True)
class Selection:
    """The tasks of a run."""

    entries: dict[str, Entry[TaskSpec]] = field(default_factory=dict)
    left_out: dict[str, list[str]] = field(default_factory=dict)
    "Part of --tasks -> tasks of it that have none of the languages asked for."

    def remarks(self, request: RunRequest) -> list[str]:
        """A sentence for each part of --tasks that lost tasks."""
        asked = ", ".join(request.languages)
        return [
            f"{part}: left out are those of its tasks that have none of the languages {asked}: {_listed(names)}"
            for part, names in self.left_out.items()
        ]


def selected(request: RunRequest, *, catalog: Catalog, errors: list[UserError]) -> Selection:
    """Find the tasks; what is wrong with names and files is added to `errors`."""
    found = Selection()
    for part in dict.fromkeys(part.strip() for part in request.tasks.split(",") if part.strip()):
        names: list[str] = []
        with collecting(errors):
            names = list(catalog.select(part))
        entries: dict[str, Entry[TaskSpec]] = {}
        for name in names:
            with collecting(errors):
                entries[name] = catalog.task(name)
        without = [name for name, entry in entries.items() if entry.spec.lm_eval and not request.languages_of(entry.spec)]
        if len(names) > 1 and without:
            if len(without) < len(entries):
                found.left_out[part] = without
            else:
                errors.append(_no_language(part, entries, request))
            entries = {name: entry for name, entry in entries.items() if name not in without}
        found.entries |= entries
    return found


def _no_language(part: str, entries: Mapping[str, Entry[TaskSpec]], request: RunRequest) -> UserError:
    known = sorted({lang for entry in entries.values() for lang in entry.spec.languages})
    return UserError(
        f"no task of '{part}' has any of these languages",
        where="--languages",
        found=",".join(request.languages),
        expected="some of " + _listed(known, most=40),
    )


def _listed(names: Sequence[str], *, most: int = 5) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
