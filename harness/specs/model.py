"""The parent of every spec: frozen, unknown keys refused, each field's docstring is its documentation."""

from pydantic import BaseModel, ConfigDict


class Spec(BaseModel):
    """A part of a YAML file."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, protected_namespaces=())
