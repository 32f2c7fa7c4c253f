"""Write JSON Schemas of the YAML files, for editors: keys are completed and explained, mistakes are marked while one types.

    python run_eval.py schema task > task.schema.json
    python run_eval.py schema --output .schemas              # all kinds: task, group, recipe, preset, study, device, languages

Editors with the YAML language server take the schema of a file from its first line:

    # yaml-language-server: $schema=.schemas/task.schema.json
"""

import argparse
import json

from harness.api.errors import UserError
from harness.commands._arguments import out, say
from harness.planning.catalog.editor_schemas import editor_kinds, editor_schema
from harness.runtime.outputs import check_output_folder, make_output_folder, output_path

HELP = "write JSON Schemas of the YAML files, for editors"
WHERE = "--output"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The kind, or --output."""
    parser.add_argument("kind", nargs="?", metavar="KIND", help=f"{', '.join(editor_kinds())}: printed on stdout")
    parser.add_argument("--output", type=output_path, metavar="DIR", help="write all kinds there, as KIND.schema.json")


def run(args: argparse.Namespace) -> int:
    """Print one, or write all."""
    if (args.kind is None) == (args.output is None):
        raise UserError("which schema?", expected=f"one of {', '.join(editor_kinds())}, or --output DIR for all of them")
    if args.kind:
        out(_text(args.kind))
        return 0
    check_output_folder(args.output, where=WHERE)
    make_output_folder(args.output, where=WHERE)
    for kind in editor_kinds():
        path = args.output / f"{kind}.schema.json"
        path.write_text(_text(kind) + "\n", encoding="utf-8")
        say(f"{path}: # yaml-language-server: $schema={path}")
    return 0


def _text(kind: str) -> str:
    return json.dumps(editor_schema(kind), indent=2, ensure_ascii=False)
