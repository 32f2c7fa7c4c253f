"""What a YAML file can be, and what its entry may be called.

kind, name = key_of(document)      # ('task', 'xnli'); UserError for a file that is nothing, or whose name cannot be one
"""

import re
from collections.abc import Mapping

from pydantic import BaseModel

from harness.api.errors import UserError
from harness.specs.device import DeviceSpec
from harness.specs.loader import Document, shown
from harness.specs.preset import PresetSpec
from harness.specs.recipe import RecipeSpec
from harness.specs.study import StudySpec
from harness.specs.task import GroupSpec, TaskSpec

KINDS: Mapping[str, type[BaseModel]] = {
    "task": TaskSpec,
    "group": GroupSpec,
    "recipe": RecipeSpec,
    "preset": PresetSpec,
    "study": StudySpec,
    "device": DeviceSpec,
}
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*")
LONGEST_NAME = 100
"Letters of a name: it becomes part of the names of folders, of which file systems take 255 bytes."
RESERVED = ("none",)
"Names that mean something else on the command line."


def key_of(document: Document) -> tuple[str, str]:
    """Kind and name of the entry in a file."""
    kinds = [kind for kind in KINDS if kind in document.values]
    if len(kinds) != 1:
        known = ", ".join(f"`{kind}: <name>`" for kind in KINDS)
        raise UserError("cannot tell what this file is", where=f"{shown(document.path)}:1", expected=f"exactly one of {known}")
    kind, name = kinds[0], str(document.values[kinds[0]])
    if not NAME.fullmatch(name) or name in RESERVED or len(name) > LONGEST_NAME:
        expected = f"at most {LONGEST_NAME} letters, digits and . _ -, with / between parts (and not {', '.join(RESERVED)})"
        raise UserError(f"'{name:.{LONGEST_NAME}}' cannot be a name", where=document.where((kind,)), expected=expected)
    return kind, name
