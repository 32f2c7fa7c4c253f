"""The looks that a study has had, kept beside its runs: looks/<study>.json.

    kept = read_looks(root, "scaling", planned=3)
    kept.log, kept.registered
    write_looks(root, "scaling", log=results.looks, registered=kept.registered or registered(spec))

Without it a study could be looked at again and again, each time as if for the first time.
"""

from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from harness.api.errors import UserError
from harness.api.json_text import read_json_file
from harness.runtime.stages import write_json
from harness.specs.model import Spec
from harness.study.statistics.looks import Look, LookLog


class KeptLooks(NamedTuple):
    """What earlier reports have left."""

    log: LookLog
    registered: str
    "What the study file fixed at the first look; empty before it."


class _KeptLook(Spec):
    fingerprint: str
    verdicts: dict[str, str]


class _LooksFile(Spec):
    registered: str
    looks: tuple[_KeptLook, ...]


def looks_path(root: Path, study: str) -> Path:
    """Where the looks of a study lie."""
    return root / "looks" / f"{study.replace('/', '-')}.json"


def read_looks(root: Path, study: str, *, planned: int) -> KeptLooks:
    """The looks so far; raises UserError for a file that is not what its name says."""
    path = looks_path(root, study)
    if not path.is_file():
        return KeptLooks(LookLog(planned), "")
    content = read_json_file(path, kind=dict)
    try:
        found = _LooksFile.model_validate(content)
    except ValidationError as error:
        detail = error.errors()[0]
        where = f"{path} {'.'.join(map(str, detail['loc']))}"
        todo = "take it back from a copy: without it looks would go uncounted"
        raise UserError(detail["msg"], where=where, expected="the looks of a study", todo=todo) from error
    return KeptLooks(LookLog(planned, tuple(Look(look.fingerprint, look.verdicts) for look in found.looks)), found.registered)


def write_looks(root: Path, study: str, *, log: LookLog, registered: str) -> None:
    """Keep the looks, by rename."""
    looks = [{"fingerprint": look.fingerprint, "verdicts": dict(look.verdicts)} for look in log.looks]
    write_json(looks_path(root, study), {"registered": registered, "looks": looks})
