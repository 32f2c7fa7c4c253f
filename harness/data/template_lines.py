"""Where the template stands that an error speaks of.

where = written_at(error, task, folder, below="fields") + "task 'nli', language de"      # 'nli.yaml:9 fields.text: task ...'
"""

import re
from functools import lru_cache
from pathlib import Path

from harness.api.errors import UserError
from harness.specs.loader import read_document, shown
from harness.specs.task import TaskSpec

_TEMPLATE = re.compile(r"the template of field '([^']+)'")


def written_at(error: UserError, task: TaskSpec, folder: str | Path | None, *, below: str) -> str:
    """`my_task.yaml:9 fields.text: ` for an error of a template; nothing where the task's file is not in that folder."""
    named = _TEMPLATE.match(error.message)
    path = Path(folder or ".") / f"{task.task.rpartition('/')[2].partition('@')[0]}.yaml"
    if named is None or folder is None or not path.is_file():
        return ""
    return _line_of(path, (below, *named[1].split(".")), path.stat().st_mtime_ns)


@lru_cache(maxsize=64)
def _line_of(path: Path, key: tuple[str, ...], mtime_ns: int) -> str:
    try:
        return read_document(path).where(key) + ": "
    except UserError:  # its includes lie where only the catalog may look
        return f"{shown(path)}: "
