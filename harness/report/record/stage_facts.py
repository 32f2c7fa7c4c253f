"""What finished stages say of themselves: keys, data, training facts, package versions; nothing of this machine or its clock.

environments = Environments()
read_stages(["score/xnli-de-0123456789"], [Path("runs/x")], environments, errors, wrong=wrong_with)   # it and all it rests on
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from harness.api.errors import UserError
from harness.api.json_text import read_json_file
from harness.api.protocols import Json
from harness.runtime.stages import DONE_FILE, canonical, read_begun, read_done
from harness.scoring.score import SCORE_FILE

_VOLATILE = re.compile(r"seconds|time|duration|speed|host|device|memory|resumed|pid|path|folder")
_DIRECTORY = re.compile(r"(?<![\w:/.~])/(?:[^\s/'\",:;()\[\]]+/)+")
Wrong: TypeAlias = Callable[[Path], str]
"Why the folder of a finished stage cannot be believed (`wrong_with`), asked once a folder: many cells rest on one training."
NO_FACTS = ("key", "files", "versions", "commit", "arithmetic")
"Entries of done.json that are no facts about the result."
_SETTINGS = ("training", "options", "seed", "limit", "head", "metrics", "score")


def portable(value: Any) -> Any:
    """The same value without the directories of this machine: of an absolute path only the last part stays."""
    if isinstance(value, str):
        return _DIRECTORY.sub("", value)
    if isinstance(value, Mapping):
        return {portable(key): portable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [portable(item) for item in value]
    return value


class Environments:
    """The sets of package versions and commits that results were made with, each under a short name."""

    def __init__(self) -> None:
        self._found: dict[str, Json] = {}

    def add(self, *, commit: str, versions: Mapping[str, str]) -> str:
        """Remember one; returns its name."""
        environment = {"commit": commit, "versions": dict(versions)}
        name = hashlib.sha256(canonical(environment).encode()).hexdigest()[:8]
        self._found[name] = environment
        return name

    def found(self) -> dict[str, Json]:
        """All of them, by name."""
        return dict(sorted(self._found.items()))


def read_stages(
    names: Iterable[str], roots: Sequence[Path], environments: Environments, errors: list[UserError], *, wrong: Wrong
) -> dict[str, Json]:
    """Name -> {key, inputs, data, facts, environments} of the finished ones among the stages and all their inputs."""
    found: dict[str, Json] = {}
    waiting = sorted(set(names))
    while waiting:
        name = waiting.pop()
        copies = [root / name for root in roots if (root / name / DONE_FILE).is_file() and not wrong(root / name)]
        if name in found or not copies:
            continue
        traces = [_trace(folder, environments) for folder in copies]
        made_with = sorted({trace.pop("environment") for trace in traces})
        arithmetic = {canonical(how): how for trace in traces if (how := trace.pop("arithmetic"))}
        for folder, trace in zip(copies, traces, strict=True):
            if not _agree(trace, traces[0]):
                errors.append(_differs(name, folder, copies[0]))
        traces.sort(key=lambda trace: -len(trace["facts"]))
        kept = {key: value for key, value in traces[0].items() if key != "scores"}
        found[name] = {**kept, "environments": made_with, "arithmetic": [arithmetic[text] for text in sorted(arithmetic)]}
        waiting += kept["inputs"]
    return dict(sorted(found.items()))


def _agree(first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    """Whether two copies of a stage say the same; facts that only one of them has were not yet recorded for the other."""
    shared = first["facts"].keys() & second["facts"].keys()
    return {**first, "facts": None} == {**second, "facts": None} and all(
        first["facts"][key] == second["facts"][key] for key in shared
    )


def _differs(name: str, folder: Path, other: Path) -> UserError:
    return UserError(
        f"two results of the stage {name}",
        where=str(folder),
        expected=f"the same as in {other}",
        todo="one of the folders was made on other hardware or was edited: use one of them",
    )


def _trace(folder: Path, environments: Environments) -> dict[str, Any]:
    """What one stage folder says; its scores are there so that two copies can be compared."""
    done, begun = read_done(folder), read_begun(folder)
    facts = {key: value for key, value in done.items() if key not in NO_FACTS}
    if (folder / "train.json").is_file():
        facts |= read_json_file(folder / "train.json", kind=dict)
    return {
        "key": done["key"],
        "inputs": sorted(begun.inputs),
        "settings": portable({key: begun.content[key] for key in _SETTINGS if key in begun.content}),
        "data": portable(begun.args.identities()),
        "facts": portable({key: value for key, value in sorted(facts.items()) if not _VOLATILE.search(key)}),
        "scores": read_json_file(folder / SCORE_FILE) if (folder / SCORE_FILE).is_file() else None,
        "arithmetic": done.get("arithmetic"),
        "environment": environments.add(commit=done.get("commit", ""), versions=done.get("versions", {})),
    }
