"""What the flags of `run` and `plan` become: requests, their plans, and the machine they run on.

plans, machine = plans_of(args, catalog, place_of(args)); print_remarks(catalog, plans)
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from harness.api.errors import UserError, collecting, distinct, raise_all
from harness.api.hardware import check_device
from harness.api.registry import METRICS
from harness.commands._arguments import check_price, comma_separated, models_of, say
from harness.data.locations import DataPlace
from harness.planning.catalog.catalog import Catalog
from harness.planning.costs.devices import Device, named_device, present_device, several
from harness.planning.costs.refusals import refusals
from harness.planning.plan import Plan, make_plan
from harness.planning.request import RunRequest
from harness.runtime.machine import Machine
from harness.runtime.processes import announced_processes, check_launch
from harness.specs.limit import read_limit
from harness.training.trackers import check_trackers

MAX_REMARKS = 5
"Remarks on names that two files have which are printed at most."


def seeds_of(text: str) -> tuple[int, ...]:
    """The seeds of --seeds, each once; raises UserError for what are no numbers."""
    try:
        return tuple(dict.fromkeys(int(part) for part in text.split(",")))
    except ValueError as error:
        raise UserError("seeds are whole numbers", where="--seeds", expected="e.g. 1,2,3", found=text) from error


def requests_of(args: argparse.Namespace) -> list[RunRequest]:
    """What is asked for, a request a model; raises UserError for seeds that are no numbers."""
    seeds = seeds_of(args.seeds)
    request = RunRequest(
        model=args.model,
        model_args=args.model_args,
        tasks=args.tasks,
        intermediate=args.intermediate,
        recipe=args.recipe,
        seeds=seeds,
        languages=tuple(dict.fromkeys(comma_separated(args.languages))),
        limit=None if args.limit is None else read_limit(str(args.limit), where="--limit"),
        no_train=args.no_train,
        remove_overlap=args.remove_overlap,
        route=args.route,
        prompt_args=args.prompt_args,
    )
    return [replace(request, model=name) for name in models_of(args.model)]


def machine_of(args: argparse.Namespace, catalog: Catalog, place: DataPlace) -> Machine:
    """The knobs of this machine; raises UserError for values that it has not, and for a launch of processes that failed."""
    check_launch()
    for name in ("batch_tokens", "save_every"):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise UserError("must be at least 1", where=f"--{name}", found=str(value))
    if args.device is not None and args.executor == "local":
        check_device(args.device)
    elif args.device not in (None, "cpu", "cuda"):
        raise UserError("a cluster says itself which device", where="--device", expected="cpu or cuda", found=args.device)
    if args.offload != "none" and args.sharding != "full":
        raise UserError("--offload goes with --sharding full", where="--offload", found=f"--sharding {args.sharding}")
    trackers = tuple(comma_separated(args.track))
    check_trackers(trackers)
    return Machine(
        place=place,
        device_name=args.device,
        batch_tokens=args.batch_tokens,
        save_every=args.save_every,
        keep=args.keep,
        progress=not args.quiet,
        repeatable=not args.unrepeatable,
        sharding=args.sharding,
        offload=args.offload,
        retry_in_float32=args.retry_in_float32,
        trackers=trackers,
        task_folders=catalog.task_folders(),
        own_metrics=tuple(METRICS.own().values()),
    )


def device_of(args: argparse.Namespace, catalog: Catalog) -> Device:
    """The device that costs are reckoned for: that of --on, else the one that is here."""
    check_price(args.price)
    return named_device(args.on, catalog=catalog) if args.on else present_device(args.device)


def check_fit(args: argparse.Namespace, plans: Sequence[Plan], catalog: Catalog, *, root: Path, machine: Machine) -> None:
    """Raise every stage to be run that cannot fit the device that is here, unless the user wants it tried.

    On a cluster it is the device of --on.
    """
    if args.ignore_memory or (
        args.executor != "local" and not args.on
    ):  # what the machines of a cluster are, they say themselves
        return
    device = present_device(args.device) if args.executor == "local" else named_device(args.on, catalog=catalog)
    if args.executor == "local" and machine.sharding == "full":
        device = several(device, announced_processes())
    raise_all(distinct([error for plan in plans for error in refusals(plan, root=root, machine=machine, device=device)]))


def plans_of(args: argparse.Namespace, catalog: Catalog, place: DataPlace) -> tuple[list[Plan], Machine]:
    """What is asked for, a plan a model, and where it is to run; raises every mistake of all at once."""
    errors: list[UserError] = []
    machine = None
    requests: list[RunRequest] = []
    plans: list[Plan] = []
    with collecting(errors):
        machine = machine_of(args, catalog, place)
    with collecting(errors):
        requests = requests_of(args)
    for request in requests:
        with collecting(errors):
            plans.append(make_plan(request, catalog=catalog, place=place))
    raise_all(distinct([*errors, *_same_names(plans)]))
    assert machine is not None
    return plans, machine


def _same_names(plans: Sequence[Plan]) -> list[UserError]:
    """Mistakes for different models that are called the same: a board would show the last of them alone."""
    errors = []
    first: dict[str, Plan] = {}
    for plan in plans:
        other = first.setdefault(plan.backbone.name, plan)
        if other.backbone.arguments != plan.backbone.arguments:
            errors.append(
                UserError(
                    f"two models are called '{plan.backbone.name}': the board would show one of them",
                    where="--model",
                    found=f"{other.request.model} and {plan.request.model}",
                    todo="rename one of the folders, or run them one by one with an --output_path each",
                )
            )
    return errors


def print_remarks(catalog: Catalog, plans: Sequence[Plan]) -> None:
    """Print on stderr which names mean two things, and what of the request was not taken at its word."""
    doubled = catalog.lm_eval.index.remarks
    more = [f"... and {len(doubled) - MAX_REMARKS} more"] if len(doubled) > MAX_REMARKS else []
    of_plans = dict.fromkeys(remark for plan in plans for remark in plan.remarks)
    for remark in (*catalog.remarks, *doubled[:MAX_REMARKS], *more, *of_plans):
        say(f"note: {remark}")
