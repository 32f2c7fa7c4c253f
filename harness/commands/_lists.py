"""The lists of `ls`: what there is, as tables for the terminal.

LISTS["tasks"](catalog, wanted_of(args))      # the table of `ls tasks`

`ls` imports this only for what it has not listed before.
"""

import argparse
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from harness.api.errors import UserError, did_you_mean, raise_all
from harness.api.registry import METRICS, TASK_TYPES
from harness.commands._arguments import comma_separated
from harness.commands._table import first_sentence, paragraphs, table
from harness.data.languages import TODO_OWN, in_order, language, languages, xtreme_languages
from harness.data.pretraining_coverage import covered
from harness.planning.catalog.catalog import Catalog
from harness.planning.catalog.lm_eval_files.index import PREFIX
from harness.scoring.own_metrics import facts_of
from harness.specs.evidence import explained
from harness.specs.task import TaskSpec

FILTERS = {"tasks": ("languages", "type"), "models": ("languages", "family"), "languages": ("languages", "family")}
"Which lists can be narrowed, and by what."
ALL = "all"
"What --languages says for the whole language table."


class ListFilter(NamedTuple):
    """What a list is narrowed to; empty for all."""

    languages: tuple[str, ...]
    type: str
    family: str

    def of(self, codes: Iterable[str]) -> list[str]:
        """Those of some languages that are asked for; all where none is."""
        return in_order(code for code in codes if not self.languages or code in self.languages)


def wanted_of(args: argparse.Namespace) -> ListFilter:
    """The filters of a command line; raises UserError for those that the list has not, and for what there is not."""
    can = FILTERS.get(args.what, ())
    given = [name for name in ("languages", "type", "family") if getattr(args, name)]
    wrong = [
        UserError(f"{args.what} are not narrowed by it", where=f"--{name}", todo=f"it narrows `ls {'`, `ls '.join(_with(name))}`")
        for name in given
        if name not in can
    ]
    if args.type and args.type not in TASK_TYPES.names():
        wrong.append(UserError(f"no task type '{args.type}'", where="--type", todo=did_you_mean(args.type, TASK_TYPES.names())))
    raise_all(wrong)
    asked = list(languages()) if args.what == "languages" and args.languages == ALL else comma_separated(args.languages)
    codes = tuple(language(code, where="--languages").code for code in asked)
    return ListFilter(codes, args.type, args.family)


def _with(filter_name: str) -> list[str]:
    return [what for what, names in FILTERS.items() if filter_name in names]


def _in_family(family: str, known: Iterable[str]) -> str:
    """The family as it is spelled; raises UserError where there is none."""
    names = sorted({name for name in known if name})
    found = [name for name in names if name.lower() == family.lower()]
    if family and not found:
        raise UserError(f"no family '{family}'", where="--family", todo=did_you_mean(family, names, listed=len(names)))
    return found[0] if found else ""


def _tasks(catalog: Catalog, wanted: ListFilter) -> str:
    rows = []
    for name in (*catalog.names("task"), *catalog.lm_eval_names("task")):
        if name.startswith(PREFIX):
            rows += _lm_eval_task(name, catalog, wanted)
            continue
        spec = catalog.task(name).spec
        tested = spec.languages if spec.data.test else ()
        if not _is_wanted(spec, tested, wanted):
            continue
        train = spec.train_on or (", ".join(spec.train_languages) if spec.data.train else "-")
        rows.append(
            [
                name,
                spec.type,
                _number(tested, wanted),
                train,
                " ".join(use.metric for use in spec.metrics),
                spec.description,
            ]
        )
    return table(["task", "type", "test languages", "trained on", "metrics", "what"], rows)


def _is_wanted(spec: TaskSpec, tested: Sequence[str], wanted: ListFilter) -> bool:
    return wanted.type in ("", spec.type) and (not wanted.languages or bool(wanted.of(tested)))


def _number(tested: Sequence[str], wanted: ListFilter) -> str:
    """How many languages a task tests, and which of those that are asked for."""
    return str(len(tested)) + (f" ({' '.join(wanted.of(tested))})" if wanted.languages else "")


def _lm_eval_task(name: str, catalog: Catalog, wanted: ListFilter) -> list[list[str]]:
    """A task of lm-eval's files, if it is wanted; one that cannot be had says why."""
    try:
        spec = catalog.task(name).spec
    except UserError as error:
        row = [name, "cannot be run", "0", "-", "-", str(error).splitlines()[0]]
        return [] if any(wanted) else [row]
    metrics = " ".join(use.metric for use in spec.metrics)
    row = [name, spec.type, _number(spec.languages, wanted), "-", metrics, spec.description]
    return [row] if _is_wanted(spec, spec.languages, wanted) else []


def _models(catalog: Catalog, wanted: ListFilter) -> str:
    rows = []
    family = _in_family(wanted.family, (catalog.preset(name).spec.family for name in catalog.names("preset")))
    for name in sorted(catalog.names("preset"), key=lambda n: (catalog.preset(n).spec.parameters or 0, n)):
        spec = catalog.preset(name).spec
        inner = f" ({_size(spec.non_embedding_parameters)})" if spec.non_embedding_parameters else ""
        held = covered(spec.languages)
        if family not in ("", spec.family) or (wanted.languages and not (held and wanted.of(held.languages))):
            continue
        langs = f"{len(set(held.languages) & set(xtreme_languages()))}/{len(xtreme_languages())}" if held else "-"
        langs += f" ({' '.join(wanted.of(held.languages))})" if held and wanted.languages else ""
        rows.append([name, _size(spec.parameters) + inner, spec.family or "-", langs, spec.licence, spec.hub or "made here"])
    header = ["model", "parameters", "family", "XTREME's languages", "licence", "hub id"]
    return f"{table(header, rows)}\n\nIn brackets: parameters without embeddings.  `show MODEL` says all of one."


def _size(number: int | None) -> str:
    if number is None:
        return "-"
    return f"{number / 1e9:.2f}B" if number >= 1e9 else f"{number / 1e6:.0f}M" if number >= 1e6 else f"{number / 1e3:.0f}k"


def _metrics(_: Catalog, __: ListFilter) -> str:
    facts = {name: facts_of(name) for name in METRICS.names()}
    rows = [[name, first_sentence(metric.doc), " ".join(metric.keys)] for name, metric in facts.items()]
    return table(["metric", "what", "keys"], rows) + "\n\n`show METRIC` says all of one, with the signature that scores carry."


def _groups(catalog: Catalog, _: ListFilter) -> str:
    names = [*catalog.names("group"), *catalog.lm_eval_names("group")]
    rows = [[name, catalog.group(name).spec.aggregate, " ".join(catalog.group_tasks(name))] for name in names]
    return table(["group", "number", "tasks"], rows)


def _recipes(catalog: Catalog, _: ListFilter) -> str:
    return table(["recipe", "what"], [[name, catalog.recipe(name).spec.description] for name in catalog.names("recipe")])


def _studies(catalog: Catalog, _: ListFilter) -> str:
    rows = []
    for name in catalog.names("study"):
        spec = catalog.study(name).spec
        backbones = sum(len(family.backbones) for family in spec.families.values())
        counts = [str(backbones), str(len(spec.settings)), str(len(spec.seeds)), str(len(spec.hypotheses))]
        rows.append([name, *counts, spec.description])
    return table(["study", "backbones", "settings", "seeds", "hypotheses", "what it asks"], rows)


def _devices(catalog: Catalog, _: ListFilter) -> str:
    rows = []
    for name in catalog.names("device"):
        spec = catalog.device(name).spec
        halves = spec.bfloat16_tflops or spec.float16_tflops
        numbers = [
            f"{spec.memory_gib:g}",
            f"{spec.float32_tflops:g}",
            f"{halves:g}" if halves else "-",
            f"{spec.bandwidth_gbs:g}",
        ]
        rows.append([name, *numbers, spec.source])
    return table(["device", "GiB", "TFLOP/s fp32", "bf16 (or fp16)", "GB/s", "source"], rows)


def _types(_: Catalog, __: ListFilter) -> str:
    rows = []
    for name in TASK_TYPES.names():
        module = TASK_TYPES.load(name)
        rows.append([name, " ".join(module.ROUTES), " ".join(module.FIELDS), first_sentence(module.__doc__ or "")])
    return table(["type", "routes", "fields", "what"], rows)


def _languages(catalog: Catalog, wanted: ListFilter) -> str:
    """The language table, with the tasks that test each language (those of generated worlds are left out).

    Without a filter, those of XTREME and XTREME-R, those that a task here tests, and the user's own; how many others there are.
    """
    specs = [catalog.task(name).spec for name in catalog.names("task")]
    real = [spec for spec in specs if spec.data.test and not any(source.world for source in spec.data.test)]
    rows = []
    family = _in_family(wanted.family, (row.family for row in languages().values()))
    left_out = 0
    for row in (languages()[code] for code in wanted.of(languages())):
        if family not in ("", row.family):
            continue
        tasks = [spec.task for spec in real if row.code in spec.languages]
        if not (any(wanted) or row.benchmark or tasks or row.code in catalog.own_languages):
            left_out += 1
            continue
        known = [row.code, row.iso3, row.name, row.family, row.script or "-", row.word_order or "-", row.benchmark or "-"]
        rows.append([*known, " ".join(tasks) or "-"])
    listed = table(["code", "iso3", "name", "family", "script", "order", "benchmark", "tasks"], rows)
    more = f"{left_out} more languages that no task here tests: `ls languages --languages {ALL}`, or --family.  {TODO_OWN}"
    return f"{listed}\n\n{paragraphs(more)}" if left_out else listed


def _references(_: Catalog, __: ListFilter) -> str:
    """Published numbers that a board can show, and how they are known."""
    from harness.report.board.references import published

    rows: list[list[str]] = []
    used: set[str] = set()
    for name, row in published().items():
        tags = dict.fromkeys(task.evidence for task in row.tasks.values())
        used.update(tags)
        known = " ".join(f"[{tag}]" for tag in tags)
        rows.append([name, row.model, row.intermediate, row.split, " ".join(row.tasks), known, row.paper])
    listed = table(["reference", "model", "intermediate", "split", "tasks", "known", "paper"], rows)
    return f"{listed}\n\n{paragraphs(explained(used))}"


LISTS: Mapping[str, Callable[[Catalog, ListFilter], str]] = {
    "tasks": _tasks,
    "models": _models,
    "metrics": _metrics,
    "groups": _groups,
    "recipes": _recipes,
    "studies": _studies,
    "types": _types,
    "languages": _languages,
    "references": _references,
    "devices": _devices,
}
"The table of each list, by its name."
