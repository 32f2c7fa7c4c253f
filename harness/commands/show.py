"""Show the resolved spec of a task, group, recipe, preset, study or device, and where each value comes from.

python run_eval.py show xnli
python run_eval.py show xnli --model multilingual-e5-small --recipe quick     # the options and hyper-parameters of a run
python run_eval.py show xnli --prompt_args num_fewshot=2 --languages en,sw     # the prompts of its first row, in these languages
"""

import argparse
import json
from collections.abc import Mapping
from typing import Any

from harness.api.errors import UserError, did_you_mean
from harness.api.registry import METRICS, TASK_TYPES
from harness.commands._arguments import add_catalog_arguments, add_trust_argument, new_catalog, out, place_of, say
from harness.commands._table import fits, paragraphs, prose, table
from harness.planning.backbone.resolve import resolve
from harness.planning.catalog.catalog import Catalog, Entry
from harness.planning.catalog.kinds import KINDS
from harness.planning.catalog.lm_eval_files.index import PREFIX
from harness.planning.precedence import SourcedValues, task_options, training
from harness.planning.routes import parse_prompt_args
from harness.scoring.own_metrics import facts_of
from harness.specs.evidence import explained, tags_in
from harness.specs.loader import Document
from harness.specs.model import field_docs
from harness.specs.prompt import PromptArgs
from harness.specs.task import TaskSpec
from harness.specs.yaml_nodes import KeyPath, dotted

HELP = "show a resolved spec with the file and line of each value"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `show`."""
    parser.add_argument("name", help="a task, group, recipe, preset, study, device or metric")
    add_catalog_arguments(parser)
    add_trust_argument(parser)
    parser.add_argument("--model", help="also settle the options for this model")
    parser.add_argument("--model_args", default="", metavar="K=V,...", help="as for run")
    parser.add_argument("--prompt_args", metavar="K=V,...", help="how the prompts that are shown are put, as for run")
    parser.add_argument(
        "--languages", default="", metavar="L,...", help="also show the prompts of the first row in these languages"
    )
    parser.add_argument("--recipe", help="also settle the hyper-parameters of this recipe")


def run(args: argparse.Namespace) -> int:
    """Print the spec."""
    catalog = new_catalog(args, args.include_path)
    kinds = [kind for kind in KINDS if args.name in catalog.names(kind)]
    if not kinds and catalog.lm_eval.knows(args.name):
        kinds = ["task" if catalog.lm_eval.is_task(args.name) else "group"]
    elif catalog.lm_eval.knows(args.name):
        say(f"note: lm-eval's '{args.name}' is {PREFIX}{args.name}")
    if not kinds and args.name in METRICS.names():
        metric = facts_of(args.name)
        out(prose(metric.doc) + "\n\n" + paragraphs(f"keys: {', '.join(metric.keys)}\nsignature: {metric.signature}"))
        return 0
    if not kinds:
        known = [name for kind in KINDS for name in (*catalog.names(kind), *catalog.lm_eval_names(kind))]
        raise UserError(f"nothing is called '{args.name}'", todo=did_you_mean(args.name, [*known, *METRICS.names()]))
    for kind in kinds:
        entry: Entry[Any] = getattr(catalog, kind)(args.name)
        out(f"{kind} {args.name}\n")
        lines = _lines(entry.document)
        out(_values(lines))
        tags = {tag for _, _, value in lines for tag in tags_in(value)}
        tags |= {value for key, _, value in lines if key.endswith(".evidence")}
        if tags:
            out("\n" + paragraphs(f"how a value is known: {explained(tags)}"))
        if isinstance(entry.spec, TaskSpec) and entry.spec.lm_eval:
            _show_theirs(entry, catalog, args)
        elif isinstance(entry.spec, TaskSpec):
            _show_settings(entry, catalog, args)
            if entry.spec.prompt and (args.languages or args.prompt_args is not None):
                _show_prompts(entry, catalog, args)
    return 0


def _values(lines: list[list[str]]) -> str:
    """The table of values; files are named once above it where their whole paths would leave the values no room."""
    header = ["key", "from", "value"]
    if fits(header, lines):
        return table(header, lines)
    paths = list(dict.fromkeys(place.rpartition(":")[0] for _, place, _ in lines))
    names = {path: path.rpartition("/")[2] for path in paths}
    told = ", ".join(paths)
    if len(set(names.values())) < len(paths):
        names = {path: str(number) for number, path in enumerate(paths, start=1)}
        told = ", ".join(f"{number} {path}" for path, number in names.items())
    short = []
    for key, place, value in lines:
        path, _, line = place.rpartition(":")
        short.append([key, f"{names[path]}:{line}", value])
    return paragraphs(f"from {told}") + "\n\n" + table(header, short)


def _lines(document: Document) -> list[list[str]]:
    """One line per value of the file."""
    lines: list[list[str]] = []

    def visit(value: Any, path: KeyPath) -> None:
        if isinstance(value, Mapping) and value:
            for key, inner in value.items():
                visit(inner, (*path, key))
        elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
            for number, inner in enumerate(value):
                visit(inner, (*path, number))
        else:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            lines.append([dotted(path), str(document.mark(path)), text.replace("\n", "\\n")])

    visit(document.values, ())
    return lines


def _show_settings(entry: Entry[TaskSpec], catalog: Catalog, args: argparse.Namespace) -> None:
    """The options of the task's type, and the hyper-parameters of a recipe, with who set each."""
    recipe = catalog.recipe(args.recipe) if args.recipe else None
    backbone = resolve(args.model, args.model_args, catalog=catalog, use_own_head=False) if args.model else None
    options = task_options(
        entry,
        recipe=recipe,
        preset=backbone.preset if backbone else None,
        overrides=backbone.options if backbone else {},
        adapter=backbone.adapter if backbone else "",
    )
    model = TASK_TYPES.load(entry.spec.type).Options
    out(f"\noptions of task type {entry.spec.type}\n")
    out(table(["option", "value", "set by", "meaning"], _settled(options, model)))
    if recipe:
        source = entry.spec.train_on or entry.spec.task
        for phase in ("intermediate", "target"):
            settled = training([source, entry.spec.task], phase=phase, recipe=recipe)
            out(f"\n{phase} training on {source}\n")
            out(table(["value", "is", "set by", "meaning"], _settled(settled, type(settled.values))))


def _show_prompts(entry: Entry[TaskSpec], catalog: Catalog, args: argparse.Namespace) -> None:
    """What a model gets to read, for one row of each language asked for."""
    from harness.commands._prompt_preview import own_prompts

    prompt_args = parse_prompt_args(args.prompt_args or "")
    langs = [lang for lang in (args.languages or "en").split(",") if lang]
    tokenizer = _tokenizer(args, prompt_args, catalog)
    lines = own_prompts(entry, catalog=catalog, place=place_of(args), prompt_args=prompt_args, langs=langs, tokenizer=tokenizer)
    out("\n" + paragraphs("\n".join(lines)))


def _tokenizer(args: argparse.Namespace, prompt_args: PromptArgs, catalog: Catalog) -> Any:
    """The tokenizer whose chat template the prompts are put into; None where they are put into none."""
    if not prompt_args.chat_template:
        return None
    if not args.model:
        raise UserError("a chat template belongs to a model", where="--prompt_args chat_template", todo="add --model")
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(resolve(args.model, "", catalog=catalog, use_own_head=False).knobs.path)


def _show_theirs(entry: Entry[TaskSpec], catalog: Catalog, args: argparse.Namespace) -> None:
    """A task of lm-eval's files: as it is run here, its first prompts, and what a reader of its scores must know."""
    from harness.commands._lm_eval_preview import first_prompts

    spec = entry.spec
    metrics = ", ".join(use.metric for use in spec.metrics)
    chance = f", chance {spec.chance:.1f}" if spec.chance else ""
    out("\n" + paragraphs(f"run as {spec.task}: {spec.description}; language {spec.languages[0]}; {metrics}{chance}"))
    asked = parse_prompt_args(args.prompt_args) if args.prompt_args is not None else None
    tokenizer = _tokenizer(args, asked, catalog) if asked else None
    prompts = first_prompts(entry, catalog=catalog, place=place_of(args), asked=asked, tokenizer=tokenizer)
    out("\n" + paragraphs("\n".join(line.text for line in prompts)))
    remarks = catalog.lm_eval.task(spec.task).remarks
    if remarks:
        out("\n" + "\n".join(paragraphs(f"note: {remark}") for remark in remarks))


def _settled(settled: SourcedValues, model: Any) -> list[list[str]]:
    docs = field_docs(model)
    return [
        [name, str(getattr(settled.values, name)), settled.origin[name], docs.get(name, "").split("\n")[0]]
        for name in model.model_fields
    ]
