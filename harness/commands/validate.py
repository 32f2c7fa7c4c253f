"""Check task, group, recipe, preset, study and device files, and that real rows become examples.

    python run_eval.py validate my_tasks/ --data_dir mirror/
    python run_eval.py validate pawsx                       # one task, group, recipe, preset, study or device by its name
    python run_eval.py validate --specs_only                # only the files, all of them; no data are read

Every mistake comes out in one run, each with its file and line.  Every language of local files is read, the first of other
sources.
"""

import argparse
from collections.abc import Sequence
from functools import cache
from typing import Any

from harness.api.errors import MissingData, UserError, collecting, did_you_mean
from harness.api.own_modules import OwnModule
from harness.api.registry import METRICS, TASK_TYPES
from harness.commands._arguments import (
    add_catalog_arguments,
    add_trust_argument,
    comma_separated,
    input_path,
    new_catalog,
    out,
    place_of,
    say,
)
from harness.data.field_mapping import field_doubts
from harness.data.languages import language
from harness.data.locations import DataPlace
from harness.data.rows import load_rows
from harness.planning.catalog.catalog import Catalog, Entry
from harness.planning.catalog.kinds import KINDS
from harness.planning.catalog.lm_eval_files.index import PREFIX
from harness.runtime.garbage import rare_collections
from harness.scoring.own_metric_code import wrong_cases
from harness.specs.portable import Split
from harness.specs.task import TaskSpec
from harness.study.design.design import design_of
from harness.task_types.prompting.prompt_checks import prompt_doubts

HELP = "check YAML files and render real rows; every error at once"
ROWS = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `validate`."""
    parser.add_argument(
        "path", nargs="?", type=input_path, metavar="PATH|NAME", help="folder, file or name (default: everything shipped)"
    )
    add_catalog_arguments(parser)
    add_trust_argument(parser)
    parser.add_argument("--specs_only", action="store_true", help="do not read rows")
    parser.add_argument(
        "--languages", default="", help="languages whose rows are read (default: all of local files, else the first of each task)"
    )
    parser.add_argument("--model", help="also tokenise the rows as this model would be trained and asked on them")
    parser.add_argument("--model_args", default="", metavar="K=V,...", help="as for run")


def run(args: argparse.Namespace) -> int:
    """Check and print; 2 if there is a mistake."""
    with rare_collections():  # the specs of all files stay, and none of them is garbage
        return _check_all(args)


def _check_all(args: argparse.Namespace) -> int:
    given = str(args.path or "")
    is_name = bool(given) and not args.path.exists()
    folders = [*args.include_path, *([args.path] if given and not is_name else [])]
    catalog = new_catalog(args, folders)
    under = None if is_name else args.path
    if is_name:
        names, from_lm_eval = _named(given, catalog)
        errors = [error for kind, name in names for error in catalog.check(kind, name)[1]]
    else:
        errors = catalog.check_all(under=under)
        names = catalog.find(under=under) if under else [(kind, name) for kind in KINDS for name in catalog.names(kind)]
        from_lm_eval = catalog.find_lm_eval(under=under) if under else []
        errors += catalog.lm_eval.index.errors
    for remark in catalog.lm_eval.index.remarks if under else ():
        say(f"warning: {remark}")
    for kind, name in from_lm_eval:
        errors += _lm_eval_mistakes(kind, name, args, catalog)
    for kind, name in names:
        if kind == "study" and not catalog.check(kind, name)[1]:
            with collecting(errors):
                design_of(catalog.study(name), catalog=catalog)
    names += from_lm_eval
    tasks = [catalog.task(name) for kind, name in names if kind == "task" and not catalog.check("task", name)[1]]
    theirs = set(from_lm_eval)
    errors += _unknown_languages(args, [task.spec for task in tasks])
    if not args.specs_only:
        for task in tasks:
            if ("task", task.spec.task) not in theirs:
                errors += _render(task, args, catalog)
    for error in errors:
        say(str(error))
    told = [path for path in catalog.language_files if under and path.is_relative_to(under.resolve())]
    for own in (own for own in METRICS.own().values() if under and own.path.is_relative_to(under.resolve())):
        told.append(own.path)
        errors += _wrong_metric(own)
    out(f"{len(names) + len(told)} files checked, {len(errors)} errors")
    return 2 if errors else 0


def _wrong_metric(own: OwnModule) -> list[UserError]:
    """What is wrong with a metric of the user's own beyond what its file says: it is tried where it may run."""
    if not own.trusted:
        say(f"note: {own.path} is read and not tried: that takes {own.flag}")
        return []
    errors: list[UserError] = []
    with collecting(errors):
        errors += wrong_cases(own.name)
    return errors


def _named(name: str, catalog: Catalog) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """What has a name, as (kind, name): of our own files, and of lm-eval's; raises UserError where nothing has it."""
    own = [(kind, name) for kind in KINDS if name in catalog.names(kind)]
    theirs: list[tuple[str, str]] = []
    if not own and catalog.lm_eval.knows(name):
        theirs = [("task" if catalog.lm_eval.is_task(name) else "group", PREFIX + name.removeprefix(PREFIX))]
    if not own and not theirs:
        known = [each for kind in KINDS for each in (*catalog.names(kind), *catalog.lm_eval_names(kind))]
        expected = "a folder of YAML files, one file, or the name of a task, group, recipe, preset, study or device"
        raise UserError(f"{name} does not exist", expected=expected, todo=did_you_mean(name, known))
    return own, theirs


def _lm_eval_mistakes(kind: str, name: str, args: argparse.Namespace, catalog: Catalog) -> list[UserError]:
    """The mistakes of a task or group of lm-eval's files; what lm-eval runs over is said, no error."""
    errors = catalog.check(kind, name)[1]
    if errors or kind == "group":
        return errors
    for remark in catalog.lm_eval.task(name).warnings:
        say(f"warning: {remark}")
    if args.specs_only:
        return []
    from harness.commands._lm_eval_preview import mistakes_in_rows

    return mistakes_in_rows(catalog.task(name), catalog=catalog, place=_place(args), say=say)


def _render(entry: Entry[TaskSpec], args: argparse.Namespace, catalog: Catalog) -> list[UserError]:
    """Print a few examples of each split and language that is read; what is wrong with the rows."""
    errors: list[UserError] = []
    splits: tuple[Split, ...] = ("train", "validation", "test")
    for split in splits:
        if getattr(entry.spec.data, split):
            errors += _rendered_split(entry, split, args, catalog)
    return errors


def _rendered_split(entry: Entry[TaskSpec], split: Split, args: argparse.Namespace, catalog: Catalog) -> list[UserError]:
    """Every language of local files, the first of other sources, or those asked for.

    Rows that are not here are said, no error of the file, unless they are local files that lack for some languages only, or
    belong to the folder that is checked.
    """
    from harness.data.examples import load_examples
    from harness.planning.data_mistakes import check_wording

    spec = entry.spec
    where = entry.document.where(("data", split))
    is_local = any(source.files for source in getattr(spec.data, split))
    known = spec.languages if split == "test" else spec.train_languages
    asked = comma_separated(args.languages)
    langs = [lang for lang in known if lang in asked] or (known if is_local and not asked else known[:1])
    errors: list[UserError] = []
    missing: list[tuple[str, MissingData]] = []
    for lang in langs:
        place, folder = _place(args), catalog.folder("task", spec.task)
        wrong: list[UserError] = []
        with collecting(wrong):
            found = load_examples(spec, split=split, langs=[lang], place=place, task_folder=folder)
            if is_local or split == "test":
                check_wording(spec, found.examples, split=split, lang=lang, place=place, task_folder=folder)
        missing += [(lang, error) for error in wrong if isinstance(error, MissingData)]
        errors += [UserError(str(error), where=where) for error in wrong if not isinstance(error, MissingData)]
        if wrong:
            continue
        counts = f"{found.num_rows} rows, {found.num_dropped} dropped"
        out(f"{spec.task} {split} {lang}: {counts}, {found.fingerprint}, {found.origin}")
        for example in found.examples[:ROWS]:
            out(f"  {_shown(example)}")
        errors += _doubts(entry, split, found.examples, args, catalog)
    is_mistake = is_local and (len(missing) < len(langs) or (args.path is not None and not spec.obtain))
    for lang, gap in missing:
        if is_mistake and not gap.fetchable:
            errors.append(UserError(str(gap), where=where))
        else:
            say(f"{spec.task} {split} {lang}: no rows here ({str(gap).splitlines()[0]})")
    return errors


def _doubts(
    entry: Entry[TaskSpec], split: Split, examples: Sequence[Any], args: argparse.Namespace, catalog: Catalog
) -> list[UserError]:
    """Say what of the templates is hardly meant, and what a tokenizer makes of the rows; what a model cannot take is an error."""
    spec, where = entry.spec, entry.document.where(("data", split))
    source = getattr(spec.data, split)[0]
    rows = load_rows(source, lang=examples[0].lang, place=_place(args), task=spec.task, task_folder=entry.document.path.parent)
    kind = TASK_TYPES.load(spec.type)
    for doubt in (*field_doubts(spec.fields, rows.rows[0]), *prompt_doubts(spec, example=kind.Example)):
        key, _, rest = doubt.partition(": ")
        remark(f"warning: {entry.document.where(tuple(key.split('.')))}: {rest}")
    if not args.model:
        return []
    from harness.commands._token_preview import tokens_of

    seen = tokens_of(entry, split, examples, model=args.model, model_args=args.model_args, catalog=catalog)
    for line in seen.lines:
        out(f"  {line}")
    for warning in seen.warnings:
        say(f"warning: {spec.task} {split} {examples[0].lang}: {warning}")
    return [error.at(f"{where}: {error.where}") for error in seen.errors]


@cache
def remark(text: str) -> None:
    """Say something once."""
    say(text)


def _place(args: argparse.Namespace) -> DataPlace:
    """Where data are looked for: in the folder that is checked as well."""
    return place_of(args, *([args.path] if args.path else []))


def _unknown_languages(args: argparse.Namespace, specs: Sequence[TaskSpec]) -> list[UserError]:
    """Languages that nothing is known of, or that no task which is checked has."""
    errors: list[UserError] = []
    known = {lang for spec in specs for lang in (*spec.languages, *spec.train_languages)}
    for lang in comma_separated(args.languages):
        with collecting(errors):
            language(lang, where="--languages")
            if specs and lang not in known:
                expected = "some of " + ", ".join(sorted(known))
                raise UserError(f"no task that is checked has the language '{lang}'", where="--languages", expected=expected)
    return errors


def _shown(example: Any) -> str:
    """An example on one line."""
    values = {name: getattr(example, name) for name in example.__slots__}
    text = ", ".join(f"{name}={value!r}" for name, value in values.items())
    return text if len(text) <= 400 else text[:397] + "..."
