"""List what there is.

python run_eval.py ls tasks | models | metrics | groups | recipes | studies | types | languages | references | devices
python run_eval.py ls tasks --languages sw,de --type tagging      # those that test one of these languages
python run_eval.py ls models --family XLM-R --languages sw        # those whose pretraining held one of these languages
python run_eval.py ls languages --languages all                   # also those that no task here tests
"""

import argparse
import json
from pathlib import Path

import xxhash

from harness.api.cache import cache_folder, recall, remember
from harness.api.errors import UserError, did_you_mean
from harness.api.project_state import project_state
from harness.commands._arguments import add_catalog_arguments, new_catalog, out, say
from harness.commands._table import terminal_width

HELP = "list tasks, models, metrics, groups, recipes, studies, types, languages, references or devices"
MOST = 20
"Lists that are remembered, the newest ones."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `ls`."""
    parser.add_argument(
        "what",
        nargs="?",
        default="tasks",
        metavar="WHAT",
        help="tasks, models, metrics, groups, recipes, studies, types, languages, references (published numbers) or devices",
    )
    parser.add_argument(
        "--languages", default="", metavar="L,...", help="of tasks, models and languages: only those that have one of these"
    )
    parser.add_argument("--type", default="", help="of tasks: only those of this type (see `ls types`)")
    parser.add_argument("--family", default="", help="of models and languages: only those of this family")
    add_catalog_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Print one table; files in error come last, with exit code 2."""
    key = _key(args)
    known = recall(_store()) if key else {}
    if key in known:
        out(known[key])
        return 0
    from harness.commands._lists import LISTS, wanted_of  # with all that reads and checks specs

    catalog = new_catalog(args, args.include_path)
    if args.what not in LISTS:
        raise UserError(f"cannot list '{args.what}'", todo=did_you_mean(args.what, LISTS))
    text = LISTS[args.what](catalog, wanted_of(args))
    out(text)
    for error in catalog.lm_eval.index.errors:
        say(f"note: {error}")
    if errors := catalog.errors:
        raise UserError("files that cannot be read:\n" + "\n".join(map(str, errors)))
    if key:
        remember(_store(), dict([*recall(_store()).items(), (key, text)][-MOST:]))
    return 0


def _key(args: argparse.Namespace) -> str:
    """What a list depends on: what is asked for, the terminal, and this project's files.

    Empty where it depends on files of the user's own as well, and where this project's have only just been changed.
    """
    state = project_state("harness", "models", "tasks")
    if args.include_path or args.allow_path or not state.is_certain:
        return ""
    said = [state.digest, args.what, args.languages, args.type, args.family, terminal_width()]
    return xxhash.xxh3_128(json.dumps(said).encode("utf-8", "surrogatepass")).hexdigest()


def _store() -> Path:
    return cache_folder() / "lists.json"
