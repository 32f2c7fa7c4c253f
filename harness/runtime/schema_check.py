"""Holds a document against the JSON Schema that is published for it, before it is written.

check_schema(board, SCHEMA_FILE, name="leaderboard", expected="its schema", todo="report it with this message")
"""

from collections.abc import Mapping
from pathlib import Path

from harness.api.errors import UserError
from harness.api.protocols import Json
from harness.runtime.stages import read_json


def check_schema(document: Mapping[str, Json], schema_file: Path, *, name: str, expected: str, todo: str) -> None:
    """Raise UserError at the first place where a document does not fit its schema."""
    from jsonschema import Draft202012Validator

    errors = sorted(Draft202012Validator(read_json(schema_file)).iter_errors(document), key=lambda error: error.json_path)
    if errors:
        raise UserError(
            errors[0].message[:300],
            where=f"{name} {errors[0].json_path}",
            expected=f"{expected} as {schema_file.name} describes it",
            todo=todo,
        )
