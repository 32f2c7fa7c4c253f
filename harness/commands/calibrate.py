"""Measure how fast this machine computes, so that `plan` can say hours for it: about a minute.

python run_eval.py calibrate                       # the device that a run would take
python run_eval.py calibrate --device cpu

Small models of several widths are trained and asked in the harness' own loops.  What they reach is remembered in the user's cache
folder, for this device and number of threads.  Best on an idle machine: what others take of it, it cannot know.
"""

import argparse
import os

from harness.api.hardware import check_device
from harness.commands._arguments import out, say
from harness.commands._table import table
from harness.planning.costs.calibration import keep_calibration
from harness.planning.costs.devices import present_device

HELP = "measure how fast this machine computes, for the hours of `plan` (a minute)"
BUSY = 0.5
"Load of each core from which a machine is not idle."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """--device."""
    parser.add_argument("--device", help="cpu, cuda, cuda:1 (default: the best there is)")


def run(args: argparse.Namespace) -> int:
    """Measure, remember, print."""
    if args.device is not None:
        check_device(args.device)
    device = present_device(args.device)
    load = os.getloadavg()[0] / (device.spec.cores or os.cpu_count() or 1)
    if load > BUSY:
        say(f"note: a load of {load:.1f} on each core: the machine is not idle, and will look slower than it is")
    from harness.executors.measuring.calibration import measure

    name = args.device or ("cpu" if device.spec.kind == "cpu" else "cuda")
    found = measure(name, precisions=["float32", *([device.dtype("auto")] if device.dtype("auto") != "float32" else [])])
    keep_calibration(device, found.json())
    rows = [
        [
            precision,
            str(one.hidden),
            f"{one.predicting / 1e12:.3g}",
            f"{one.training / 1e12:.3g}",
            f"{one.checkpointed / 1e12:.3g}",
            f"{100 * one.training / device.peak(precision):.0f} %",
        ]
        for precision, rates in found.rates.items()
        for one in rates
    ]
    out(f"{device.spec.description}, {found.threads} threads; {found.seconds:.0f} s")
    out(table(["precision", "width", "TFLOP/s to predict", "TFLOP/s to train", "with checkpointing", "of its peak"], rows))
    out(
        f"memory: {found.bandwidth / 1e9:.3g} GB/s in the optimizer's steps; a large product of matrices: "
        f"{found.product / 1e12:.3g} TFLOP/s"
    )
    return 0
