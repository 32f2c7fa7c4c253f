"""The flags that several commands share; the catalog and the place of the data that they name.

add_catalog_arguments(parser); catalog = catalog_of(args); place = place_of(args)

What a run asks for becomes plans in `_requests.py`, which the commands that only list and show need not import.
"""

import argparse
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.api.errors import UserError, distinct, raise_all
from harness.api.escaping import visible
from harness.api.path_names import path_named
from harness.api.progress import is_heard
from harness.commands._program import as_called
from harness.report.record.dates import remembered_data_dir
from harness.runtime.processes import is_first

if TYPE_CHECKING:  # a list that is known needs none of it
    from harness.data.locations import DataPlace
    from harness.planning.catalog.catalog import Catalog


def input_path(text: str) -> Path:
    """The type of a flag that names a file or folder to read."""
    return path_named(text, where="a path to read")


def add_include_arguments(parser: argparse.ArgumentParser) -> None:
    """--include_path, and what of it may run."""
    parser.set_defaults(allow_path=[])  # for commands that have no --allow_path
    parser.add_argument(
        "--include_path",
        action="append",
        type=input_path,
        default=[],
        metavar="DIR",
        help="folder of your own tasks, groups, recipes, presets, studies, languages and metrics, or of lm-eval's task files "
        "(may be repeated)",
    )
    parser.add_argument(
        "--trust_metric_code", action="store_true", help="run the Python code of metrics/*.py in the folders of --include_path"
    )


TRUSTS = ("trust_task_code", "trust_evaluate_metrics", "trust_generated_code")
"Flags that let code of others run."


def add_catalog_arguments(parser: argparse.ArgumentParser) -> None:
    """--include_path and --data_dir."""
    parser.set_defaults(**dict.fromkeys(TRUSTS, False))  # for commands that have no such flags
    add_include_arguments(parser)
    parser.add_argument(
        "--data_dir",
        metavar="DIR",
        help="local mirror of hub datasets: DIR/<org>/<name>/... (default: $HARNESS_DATA_DIR, then that of the run folder)",
    )
    parser.add_argument(
        "--allow_path",
        action="append",
        type=input_path,
        default=[],
        metavar="DIR",
        help="folder that task files may read from, besides their own and --data_dir (may be repeated)",
    )


def allowed_of(args: argparse.Namespace) -> list[Path]:
    """The folders of --allow_path; raises UserError for one that is not there."""
    for folder in args.allow_path:
        if not folder.is_dir():
            raise UserError("there is no such folder", where="--allow_path", found=str(folder))
    return [folder.absolute() for folder in args.allow_path]


def add_trust_argument(parser: argparse.ArgumentParser) -> None:
    """--trust_task_code and its kin."""
    parser.add_argument(
        "--trust_task_code", action="store_true", help="run the Python code that lm-eval's task files name by !function"
    )
    parser.add_argument(
        "--trust_evaluate_metrics",
        action="store_true",
        help="let that code have the package evaluate download metrics and run them",
    )
    parser.add_argument(
        "--trust_generated_code", action="store_true", help="let tasks run the programs that the model writes (unsafe_code)"
    )


def add_request_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags that say what a run does."""
    from harness.planning.intermediate import NO_INTERMEDIATE

    add_catalog_arguments(parser)
    add_trust_argument(parser)
    parser.add_argument(
        "--model",
        required=True,
        help="presets (see `ls models`), hub ids or local folders, separated by commas; oracle, random and constant are fakes",
    )
    parser.add_argument(
        "--model_args",
        default="",
        metavar="K=V,...",
        help="dtype, revision, device_map, attn_implementation, max_length, layer, pooling, prefix, ...",
    )
    parser.add_argument("--tasks", required=True, help="tasks, groups and globs, separated by commas (see `ls tasks`)")
    parser.add_argument(
        "--intermediate",
        default=NO_INTERMEDIATE,
        help="intermediate settings to compare, e.g. none,mnli,squad_v1 (default: none)",
    )
    parser.add_argument("--recipe", default="xtreme_2020", help="hyper-parameters (see `ls recipes`; default: xtreme_2020)")
    parser.add_argument("--seeds", default="1", help="training seeds, e.g. 1,2,3 (default: 1)")
    parser.add_argument("--languages", default="", help="only these test languages, e.g. de,sw (default: all of each task)")
    parser.add_argument(
        "--limit",
        metavar="N",
        help="seeded sample of N or N%% test rows per language, or first:N, the first ones; marks every number as partial",
    )
    parser.add_argument(
        "--route", choices=("head", "prompt"), default="", help="prompt: ask language models in words instead of training heads"
    )
    parser.add_argument(
        "--prompt_args",
        default="",
        metavar="K=V,...",
        help="num_fewshot, chat_template, system, wording, normalise, seed, ... (with --route prompt)",
    )
    parser.add_argument("--no_train", action="store_true", help="use the heads that the checkpoint has")
    parser.add_argument(
        "--remove_overlap", action="store_true", help="leave out training rows whose text occurs in the run's test rows"
    )
    parser.add_argument("--output_path", default="runs", metavar="DIR", help="folder of the stages and the board (default: runs)")


def add_machine_arguments(parser: argparse.ArgumentParser) -> None:
    """How and where to run; none of it changes a result beyond rounding."""
    parser.set_defaults(executor="local")  # for commands that run nothing
    parser.add_argument("--device", help="cpu, cuda, cuda:1, mps (default: the best there is)")
    parser.add_argument(
        "--batch_tokens",
        type=int,
        metavar="N",
        help="tokens per forward pass, with the padding that is computed (default: by the device; halved when memory runs out)",
    )
    parser.add_argument(
        "--save_every", type=int, metavar="STEPS", help="training steps between resumable states (default: the recipe's)"
    )
    parser.add_argument(
        "--keep", choices=("none", "best", "all"), default="best", help="checkpoints that stay on disk (default: best)"
    )
    parser.add_argument(
        "--unrepeatable",
        action="store_true",
        help="let a GPU add up in any order: perhaps faster, but the same run again differs in the last bits (the board says so)",
    )
    parser.add_argument(
        "--sharding",
        choices=("none", "full"),
        default="none",
        help="training in several processes (torchrun): none = each holds the whole model, full = each holds a part (FSDP)",
    )
    parser.add_argument(
        "--offload",
        choices=("none", "cpu"),
        default="none",
        help="with --sharding full: cpu = weights, gradients and optimizer state lie in main memory (default: none)",
    )
    parser.add_argument(
        "--retry_in_float32",
        action="store_true",
        help="a training in bf16 or fp16 whose loss is no number begins again in fp32 (the board says so; default: it fails)",
    )
    parser.add_argument(
        "--track",
        default="",
        metavar="NAME,...",
        help="show losses and English scores of trainings there too: tensorboard (in OUTPUT_PATH/tensorboard), wandb",
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bars")


def add_cost_arguments(parser: argparse.ArgumentParser) -> None:
    """--on and --price."""
    parser.add_argument(
        "--on",
        default="",
        metavar="DEVICE[:N]",
        help="reckon for such devices (see `ls devices`), N of them (default: the one that is here)",
    )
    parser.add_argument("--price", type=float, metavar="P", help="of an hour of one device, in any currency: cost is in the same")


def check_price(price: float | None) -> None:
    """UserError for a price that is none."""
    if price is not None and not 0 <= price < math.inf:
        raise UserError("no price", where="--price", expected="a number, 0 or more", found=f"{price}")


def new_catalog(args: argparse.Namespace, folders: Sequence[Path]) -> "Catalog":
    """The catalog with some folders of the user's, mistakes in their files left for later."""
    from harness.planning.catalog.catalog import Catalog

    return Catalog(folders, allowed=allowed_of(args), trust_metric_code=args.trust_metric_code)


def catalog_of(args: argparse.Namespace) -> "Catalog":
    """The catalog with the user's folders; a mistake in one of their files is an error now, not later."""
    folders = list(args.include_path)
    catalog = new_catalog(args, folders)
    errors = [*catalog.errors, *(error for folder in folders for error in catalog.check_all(under=folder))]
    raise_all(distinct(errors))
    return catalog


def place_of(args: argparse.Namespace, *also: Path, runs: Sequence[Path] = ()) -> "DataPlace":
    """Where data are looked for; where nothing is said, as the newest command in the folders `runs` had it.

    Task files read from what the user has named, `also` included.
    """
    from harness.data.locations import DATA_DIR_VARIABLE, DataPlace

    data_dir = args.data_dir
    if data_dir is None and not os.environ.get(DATA_DIR_VARIABLE) and (found := remembered_data_dir(runs)):
        if found.is_dir():
            data_dir = str(found)
            note = f"--data_dir {found}, as the newest command in this folder had it"
        else:
            note = f"the --data_dir of the newest command in this folder, {found}, is gone: give --data_dir if it has moved"
        if is_first():
            say(f"note: {note}")
    named = [*args.include_path, *also]
    folders = [(place.parent if place.is_file() else place).absolute() for place in named]
    trusted = {name: getattr(args, name) for name in TRUSTS}
    return DataPlace.resolve(data_dir, allowed=[*folders, *allowed_of(args)], **trusted)


def models_of(text: str) -> list[str]:
    """The models of --model, each once: several are separated by commas, which the name of a folder may hold as well."""
    return [text] if os.path.exists(text) else list(dict.fromkeys(comma_separated(text))) or [text]


def comma_separated(text: str) -> list[str]:
    """The words of a flag that takes several; none of an empty text."""
    return [word.strip() for word in text.split(",") if word.strip()]


def say(text: str) -> None:
    """A line of progress on stderr."""
    if is_heard(text):
        return
    sys.stderr.write(as_called(visible(text, tabs=True)) + "\n")
    sys.stderr.flush()


def out(text: str) -> None:
    """A result on stdout."""
    sys.stdout.write(as_called(visible(text, tabs=True)) + "\n")
