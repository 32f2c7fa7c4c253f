"""How many tokens a language model computes for prompts, of those that stand in them: a count, not a time, the same everywhere.

    python benchmarks/prompt_tokens.py --model FOLDER --data_dir ../shared/hub --tasks xnli,xquad,panx --limit 200 --shots 0,4

`asked` counts each continuation with all that stands before it, as a harness that scores them one by one computes them; `once`
the context of each row once; `computed` what is left where beginnings are shared across continuations, rows and languages.  What
the model writes is not in it.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from harness.api.model_source import ModelSource
from harness.api.protocols import Feature
from harness.commands._table import table
from harness.data.locations import DataPlace
from harness.planning.catalog.catalog import Catalog
from harness.planning.plan import make_plan
from harness.planning.request import RunRequest
from harness.prediction.asked_order import asked_in_order
from harness.prediction.cell import Cell
from harness.runtime.machine import CPU_PREDICT_TOKENS, Machine
from harness.task_types.prompting.encoding import plan_requests
from models.inference.prefix_tree import Tokens, build_tree
from models.loading.pretrained import load_config
from models.loading.tokenizer import load_tokenizer


def sequences(feature: Feature) -> list[Tokens]:
    """What goes into the model for a request: its context with each of its continuations, or alone."""
    context = tuple(feature.input_ids)
    if feature.continuations is None:
        return [context]
    return [(*context, *ids[:-1]) for ids in feature.continuations if ids]


def cells_of(task: str, shots: int, *, args: argparse.Namespace, tokenizer: Any, folder: Path) -> Iterator[Cell]:
    """The cells of a task whose rows are here."""
    place, catalog = DataPlace.resolve(args.data_dir), Catalog([])
    request = RunRequest(
        model=args.model,
        tasks=task,
        limit=args.limit,
        route="prompt",
        prompt_args=f"num_fewshot={shots}",
        languages=tuple(filter(None, args.languages.split(","))),
    )
    machine = Machine(place=place, task_folders=catalog.task_folders(), device_name="cpu", progress=False)
    for cell in make_plan(request, catalog=catalog, place=place).cells:
        if stage := cell.predict:
            yield Cell(stage=stage, folder=stage.folder(folder), machine=machine, tokenizer=tokenizer)


def counted(task: str, shots: int, *, args: argparse.Namespace, tokenizer: Any) -> list[str]:
    """A row of the table."""
    with tempfile.TemporaryDirectory() as folder:
        cells = list(cells_of(task, shots, args=args, tokenizer=tokenizer, folder=Path(folder)))
        index = asked_in_order(cells)
        lengths = [cell.lengths[n] for cell, n in index]
    features = [cell.features[n] for cell, n in index]
    asked = sum(len(ids) for feature in features for ids in sequences(feature))
    after = sum(len(ids) for feature in features for ids in feature.continuations or ())
    once = sum(len(feature.input_ids) for feature in features) + after
    runs = plan_requests(lengths, max_tokens=CPU_PREDICT_TOKENS)
    computed = sum(build_tree([ids for n in run for ids in sequences(features[n])]).num_tokens for run in runs)
    ratios = [f"{count / computed:.2f}" for count in (asked, once)]
    return [task, str(shots), f"{len(cells)} x {args.limit}", *(f"{count:,}" for count in (asked, once, computed)), *ratios]


def main() -> int:
    """Count and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="folder of a causal language model: its tokenizer alone is loaded")
    parser.add_argument("--data_dir", help="mirror of hub datasets")
    parser.add_argument("--tasks", default="xnli,xquad,panx,commonsenseqa_dev")
    parser.add_argument("--languages", default="")
    parser.add_argument("--limit", type=int, default=200)
    parser.add_argument("--shots", default="0,4")
    args = parser.parse_args()
    source = ModelSource(path=args.model)
    vocab_size = int(load_config(Path(args.model), source).get_text_config().vocab_size)
    tokenizer = load_tokenizer(Path(args.model), source, vocab_size=vocab_size, pads_with_end=True)
    rows = [
        counted(task, int(shots), args=args, tokenizer=tokenizer)
        for shots in args.shots.split(",")
        for task in args.tasks.split(",")
    ]
    header = ["task", "shots", "languages x rows", "asked", "once", "computed", "asked / computed", "once / computed"]
    sys.stdout.write(table(header, rows) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
