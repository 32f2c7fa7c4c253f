"""Which documents were found without a mistake before, so that a list of tasks need not check the templates of all again.

spec, errors = KnownGood().check(document, "task", TaskSpec, tasks=names)     # (spec, []), or (None, every mistake)

A document is known by what it says, by the names of all tasks, by the user's own languages and metrics, and by the state of this
project's own files: its checks ask which task types, metrics, readers and languages there are.  What is new is written when the
process ends.
"""

import atexit
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import xxhash
from pydantic import BaseModel

from harness.api.cache import cache_folder, recall, remember
from harness.api.errors import UserError
from harness.api.project_state import project_state
from harness.api.registry import METRICS
from harness.data.languages import own_languages
from harness.specs.loader import Document, parse

MOST = 5_000
"Documents that are remembered, the newest ones: those of the shipped folders many times over."


class KnownGood:
    """The documents that were found good, by this user in any process."""

    def __init__(self) -> None:
        """Nothing is read before the first question."""
        self._found: dict[str, int] | None = None
        self._new: list[str] = []

    def check(
        self, document: Document, kind: str, model: type[BaseModel], *, tasks: Sequence[str]
    ) -> tuple[Any, list[UserError]]:
        """What `check_document` gives; for a document that was good before, for the very same project, it is parsed only."""
        if self._found is None:
            self._found = recall(_store())
        digest = _digest(document, kind, tasks)
        if digest in self._found:
            return parse(document, model)
        from harness.planning.catalog.file_checks import check_document  # it loads all that templates and metrics need

        spec, errors = check_document(document, model, tasks=tasks)
        if not errors:
            if not self._new:
                atexit.register(self.write)
            self._new.append(digest)
        return spec, errors

    def write(self) -> None:
        """Write what is new beside what other processes have written since."""
        known = {**recall(_store()), **dict.fromkeys(self._new, 1)}
        remember(_store(), dict(list(known.items())[-MOST:]))
        self._new.clear()


def _store() -> Path:
    return cache_folder() / "checked_documents.json"


def _digest(document: Document, kind: str, tasks: Sequence[str]) -> str:
    own = [map(repr, own_languages()), ((metric.name, metric.code, metric.trusted) for metric in METRICS.own().values())]
    said = [project_state("harness").digest, kind, document.path.name, document.values, list(tasks), *map(list, own)]
    return xxhash.xxh3_128(json.dumps(said, sort_keys=True, default=repr).encode("utf-8", "surrogatepass")).hexdigest()
