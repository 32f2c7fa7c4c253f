"""List what there is.

python run_eval.py ls tasks | models | metrics | groups | recipes | studies | types | languages | references
"""

import argparse
from collections.abc import Callable

from harness.api.errors import UserError, did_you_mean
from harness.api.registry import METRICS, TASK_TYPES
from harness.commands._arguments import add_catalog_arguments, allowed_of, out, say
from harness.commands._table import table
from harness.data.languages import languages, xtreme_languages
from harness.data.pretraining_coverage import covered
from harness.planning.catalog.catalog import Catalog
from harness.planning.catalog.lm_eval_files.conversion import PREFIX

HELP = "list tasks, models, metrics, groups, recipes, studies, types, languages or references"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `ls`."""
    parser.add_argument(
        "what",
        nargs="?",
        default="tasks",
        metavar="WHAT",
        help="tasks, models, metrics, groups, recipes, studies, types, languages or references (published numbers)",
    )
    add_catalog_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Print one table; files in error come last, with exit code 2."""
    catalog = Catalog(args.include_path, allowed=allowed_of(args))
    listings: dict[str, Callable[[Catalog], str]] = {
        "tasks": _tasks,
        "models": _models,
        "metrics": _metrics,
        "groups": _groups,
        "recipes": _recipes,
        "studies": _studies,
        "types": _types,
        "languages": _languages,
        "references": _references,
    }
    if args.what not in listings:
        raise UserError(f"cannot list '{args.what}'", todo=did_you_mean(args.what, listings))
    out(listings[args.what](catalog))
    for error in catalog.lm_eval.index.errors:
        say(f"note: {error}")
    errors = catalog.errors
    if errors:
        raise UserError("files that cannot be read:\n" + "\n".join(map(str, errors)))
    return 0


def _tasks(catalog: Catalog) -> str:
    rows = []
    for name in (*catalog.names("task"), *catalog.lm_eval_names("task")):
        if name.startswith(PREFIX):
            rows.append(_lm_eval_task(name, catalog))
            continue
        spec = catalog.task(name).spec
        train = spec.train_on or (", ".join(spec.train_languages) if spec.data.train else "-")
        rows.append(
            [
                name,
                spec.type,
                str(len(spec.languages) if spec.data.test else 0),
                train,
                " ".join(use.metric for use in spec.metrics),
                spec.description,
            ]
        )
    return table(["task", "type", "test languages", "trained on", "metrics", "what"], rows)


def _lm_eval_task(name: str, catalog: Catalog) -> list[str]:
    """A task of lm-eval's files; one that cannot be had says why."""
    try:
        spec = catalog.task(name).spec
    except UserError as error:
        return [name, "cannot be run", "0", "-", "-", str(error).splitlines()[0]]
    return [name, spec.type, "1", "-", " ".join(use.metric for use in spec.metrics), spec.description]


def _models(catalog: Catalog) -> str:
    rows = []
    for name in sorted(catalog.names("preset"), key=lambda n: (catalog.preset(n).spec.parameters or 0, n)):
        spec = catalog.preset(name).spec
        sizes = [_size(spec.parameters), _size(spec.non_embedding_parameters)]
        held = covered(spec.languages)
        langs = f"{len(set(held.languages) & set(xtreme_languages()))}/{len(xtreme_languages())}" if held else "-"
        rows.append([name, *sizes, spec.architecture or spec.adapter, langs, spec.licence, spec.hub or "made here"])
    return table(["model", "parameters", "non-embedding", "architecture", "XTREME's languages", "licence", "hub id"], rows)


def _size(number: int | None) -> str:
    if number is None:
        return "-"
    return f"{number / 1e9:.2f}B" if number >= 1e9 else f"{number / 1e6:.0f}M" if number >= 1e6 else f"{number / 1e3:.0f}k"


def _metrics(catalog: Catalog) -> str:
    rows = [[name, " ".join(METRICS.load(name).KEYS), METRICS.load(name).SIGNATURE] for name in METRICS.names()]
    return table(["metric", "keys", "signature"], rows)


def _groups(catalog: Catalog) -> str:
    names = [*catalog.names("group"), *catalog.lm_eval_names("group")]
    rows = [[name, catalog.group(name).spec.aggregate, " ".join(catalog.group_tasks(name))] for name in names]
    return table(["group", "number", "tasks"], rows)


def _recipes(catalog: Catalog) -> str:
    return table(["recipe", "what"], [[name, catalog.recipe(name).spec.description] for name in catalog.names("recipe")])


def _studies(catalog: Catalog) -> str:
    rows = []
    for name in catalog.names("study"):
        spec = catalog.study(name).spec
        backbones = sum(len(family.backbones) for family in spec.families.values())
        counts = [str(backbones), str(len(spec.settings)), str(len(spec.seeds)), str(len(spec.hypotheses))]
        rows.append([name, *counts, spec.description])
    return table(["study", "backbones", "settings", "seeds", "hypotheses", "what it asks"], rows)


def _types(catalog: Catalog) -> str:
    rows = []
    for name in TASK_TYPES.names():
        module = TASK_TYPES.load(name)
        rows.append([name, " ".join(module.ROUTES), " ".join(module.FIELDS), (module.__doc__ or "").splitlines()[0]])
    return table(["type", "routes", "fields", "what"], rows)


def _languages(catalog: Catalog) -> str:
    """The language table, with the tasks that test each language (those of generated worlds are left out)."""
    specs = [catalog.task(name).spec for name in catalog.names("task")]
    real = [spec for spec in specs if spec.data.test and not any(source.world for source in spec.data.test)]
    rows = []
    for row in languages().values():
        tasks = [spec.task for spec in real if row.code in spec.languages]
        known = [row.code, row.iso3, row.name, row.family, row.script, row.word_order or "-", row.benchmark or "-"]
        rows.append([*known, " ".join(tasks) or "-"])
    return table(["code", "iso3", "name", "family", "script", "order", "benchmark", "tasks"], rows)


def _references(_: Catalog) -> str:
    """Published numbers that a board can show."""
    from harness.report.board.references import published

    rows = [[name, row.model, row.intermediate, row.split, " ".join(row.tasks), row.paper] for name, row in published().items()]
    return table(["reference", "model", "intermediate", "split", "tasks", "paper"], rows)
