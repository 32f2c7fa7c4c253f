"""The parent of every spec: frozen, unknown keys refused, each field's docstring is its documentation."""

from pydantic import BaseModel, ConfigDict

LARGEST = 2**53
"Whole numbers of a file lie below this: a float holds each of them, so that costs can be reckoned with them."


class Spec(BaseModel):
    """A part of a YAML file."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, protected_namespaces=())
