"""Metrics of the user's own: `metrics/<name>.py` in a folder of --include_path, in the form of the modules of `metrics/` here.

    modules, errors = metrics_in([Path("my_tasks")], trusted=True)      # read, not run; every mistake with its file
    METRICS.put_own(modules)
    METRICS.load("my_f1").SIGNATURE       # 'my_f1|...|own code 0f3a...': so the code is part of the score stage's key

KEYS and SIGNATURE are literals, so that a task file is checked before its metrics may run.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from harness.api.errors import UserError, collecting
from harness.api.own_modules import OwnModule
from harness.api.registry import METRICS

FOLDER = "metrics"
FLAG = "--trust_metric_code"


def metrics_in(folders: Iterable[Path], *, trusted: bool) -> tuple[list[OwnModule], list[UserError]]:
    """The metrics below folders of --include_path, by what their files say without being run, and every mistake in them."""
    found: dict[str, OwnModule] = {}
    errors: list[UserError] = []
    for folder in folders:
        place = folder if folder.name == FOLDER else folder / FOLDER
        for path in sorted(place.glob("*.py")) if place.is_dir() else ():
            if path.name.startswith("_"):
                continue
            own = OwnModule(kind="metric", name=path.stem, path=path.resolve(), trusted=trusted, flag=FLAG)
            with collecting(errors):
                _check_name(own, found)
                _check_literals(own)
                found[own.name] = own
    return list(found.values()), errors


def _check_name(own: OwnModule, found: Mapping[str, OwnModule]) -> None:
    if not own.name.isidentifier():
        raise UserError(f"'{own.name}' cannot be the name of a metric", where=str(own.path), expected="letters, digits and _")
    if own.name in METRICS.shipped_names():
        raise UserError(f"there is a metric '{own.name}' already", where=str(own.path), todo="give the file another name")
    other = found.get(own.name)
    if other and other.path != own.path:
        raise UserError(f"metric '{own.name}' exists twice", where=str(own.path), found=str(other.path), todo="rename one")


def _check_literals(own: OwnModule) -> None:
    """What a metric says before it may run; its hash is made here, so that a file that is no Python is told now."""
    keys, signature = own.literal("KEYS"), own.literal("SIGNATURE")
    if not (isinstance(keys, tuple | list) and keys and all(isinstance(key, str) and key.isidentifier() for key in keys)):
        raise UserError("KEYS names the numbers of a metric", where=str(own.path), expected="e.g. ('f1',)", found=f"{keys!r:.80}")
    if not (isinstance(signature, str) and signature):
        expected = "a text that says what exactly is computed, e.g. 'my_f1|lower case|1.0'"
        raise UserError("a metric has a SIGNATURE", where=str(own.path), expected=expected, found=f"{signature!r:.80}")
    assert own.code


class MetricFacts(NamedTuple):
    """What a metric says of itself."""

    doc: str
    keys: tuple[str, ...]
    signature: str


def facts_of(name: str) -> MetricFacts:
    """What a metric says of itself, without running a file of the user's own; raises UserError for an unknown one."""
    own = METRICS.own().get(name)
    if own:
        return MetricFacts(own.doc, keys_of(name), signature_of(own))
    module = METRICS.load(name)
    return MetricFacts(module.__doc__ or "", tuple(module.KEYS), module.SIGNATURE)


def keys_of(name: str) -> tuple[str, ...]:
    """The names of a metric's numbers, without running a file of the user's own."""
    own = METRICS.own().get(name)
    return tuple(own.literal("KEYS") if own else METRICS.load(name).KEYS)


def signature_of(own: OwnModule) -> str:
    """What a metric of the user's own computes, its code included."""
    return f"{own.literal('SIGNATURE')}|own code {own.code}"


def own_signatures(names: Sequence[str]) -> dict[str, str]:
    """The signatures of those metrics that are the user's own; raises UserError where one may not run."""
    return {name: METRICS.load(name).SIGNATURE for name in names if name in METRICS.own()}
