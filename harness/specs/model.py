"""The parent of every spec: frozen, unknown keys refused, each field's docstring is its documentation.

field_docs(Training)["learning_rate"]       # the string under the field, read from the source when it is asked for
"""

import ast
import inspect
import textwrap

from pydantic import BaseModel, ConfigDict

LARGEST = 2**53
"Whole numbers of a file lie below this: a float holds each of them, so that costs can be reckoned with them."


class Spec(BaseModel):
    """A part of a YAML file."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


def field_docs(model: type[BaseModel]) -> dict[str, str]:
    """The string under each field of a spec and of its parents; a field without one is not in it.

    pydantic's `use_attribute_docstrings` reads the sources of all specs when they are imported, which costs every command.
    """
    docs: dict[str, str] = {}
    for owner in reversed(model.__mro__):
        if not issubclass(owner, Spec) or owner is Spec:
            continue
        (definition,) = ast.parse(textwrap.dedent(inspect.getsource(owner))).body
        assert isinstance(definition, ast.ClassDef)
        for field, text in zip(definition.body, definition.body[1:]):
            if not (isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)):
                continue
            if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant) and isinstance(text.value.value, str):
                docs[field.target.id] = inspect.cleandoc(text.value.value)
    return docs
