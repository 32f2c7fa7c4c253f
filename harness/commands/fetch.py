"""Download every dataset and the backbone of a run, for machines that then go offline.

python run_eval.py fetch --model xlm-roberta-base --tasks xnli,xquad --intermediate mnli
python run_eval.py fetch --tasks xnli --languages de,sw            # data only
"""

import argparse

from harness.commands._arguments import add_catalog_arguments, catalog_of, comma_separated, models_of, out, place_of
from harness.data.fetch import BackboneItem, DatasetItem, dataset_items, fetch
from harness.planning.backbone.resolve import resolve
from harness.planning.intermediate import NO_INTERMEDIATE, parse_settings
from harness.runtime.arguments import file_of
from harness.specs.task import TaskSpec

HELP = "download the datasets and the backbone of a run"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `fetch`."""
    add_catalog_arguments(parser)
    parser.add_argument("--model", help="as for run; without it only data are fetched")
    parser.add_argument("--model_args", default="", metavar="K=V,...", help="as for run")
    parser.add_argument("--tasks", required=True, help="tasks, groups and globs, separated by commas")
    parser.add_argument("--intermediate", default=NO_INTERMEDIATE, help="intermediate settings, as for run")
    parser.add_argument("--languages", default="", help="only these test languages")


def run(args: argparse.Namespace) -> int:
    """Fetch and print a line per item; 1 if one failed."""
    catalog = catalog_of(args)
    names = [*catalog.select(args.tasks)]
    specs: list[TaskSpec] = []
    for name in names:
        spec = catalog.task(name).spec
        specs.append(spec)
        if spec.train_on:
            source = catalog.task(spec.train_on).spec
            specs.append(source.model_copy(update={"data": source.data.model_copy(update={"test": ()})}))
    for setting in parse_settings(args.intermediate, catalog=catalog):
        for component in setting.components:
            spec = catalog.task(component.task).spec
            specs.append(spec.translated_into(component.lang) if component.lang else spec)
    folders = {spec.task: str(catalog.folder("task", file_of(spec.task))) for spec in specs}
    langs = comma_separated(args.languages) or None
    items: list[DatasetItem | BackboneItem] = [*dataset_items(specs, langs=langs, task_folders=folders)]
    for model in models_of(args.model) if args.model else ():
        backbone = resolve(model, args.model_args, catalog=catalog, use_own_head=False)
        if backbone.engine.is_remote:
            items.append(BackboneItem(path=str(backbone.knobs.tokenizer), revision=backbone.knobs.revision, tokenizer_alone=True))
        elif backbone.knobs.path is not None:
            items.append(BackboneItem(path=backbone.knobs.path, revision=backbone.knobs.revision))
    outcomes = fetch(items, place=place_of(args), say=out)
    return 1 if any(outcome.state == "failed" for outcome in outcomes) else 0
