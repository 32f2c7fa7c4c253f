"""How metrics of a right and a predicted class read such a pair.

right, given = class_pair([2, 0], "f1")        # UserError for anything but a pair of numbers or texts
"""

from typing import Any

from harness.api.errors import UserError


def class_pair(value: Any, name: str) -> tuple[Any, Any]:
    """The right class and the predicted one, numbers or texts; raises UserError for anything else."""
    if not (isinstance(value, list | tuple) and len(value) == 2 and all(isinstance(one, str | int | float) for one in value)):
        raise UserError(f"'{name}' is no pair of classes", expected="[right, predicted]", found=repr(value)[:80])
    return value[0], value[1]


def two_class_pair(value: Any, name: str) -> tuple[int, int]:
    """The same where there are the classes 0 and 1 only; raises UserError for anything else."""
    if not (isinstance(value, list | tuple) and len(value) == 2 and all(one in (0, 1) for one in value)):
        raise UserError(f"'{name}' is for two classes", expected="[0 or 1, 0 or 1]", found=repr(value)[:80])
    return value[0], value[1]
