"""How fast a device computes: by a calibration of it, else by an assumed share of its peak; and where that comes from.

    speed = speed_of(device, precision="bfloat16", calibration=None)
    speed.rate(1024, training=True), speed.source

Shares of peaks are not known beforehand: small matrices, attention and everything that only moves numbers hold a device back.
"""

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import NamedTuple

from harness.planning.costs.devices import Device

PREDICTING = 0.18
"""Share of the peak that forward passes reach on a GPU: 182 TFLOP/s of 989 on an H100, measured with an encoder of 0.56B
parameters in bf16 and batches of 262,144 padded tokens; of all else an assumption."""
TRAINING = 0.15
"The same of a forward and backward pass with ordered sums: an assumption."
ON_CPU = 0.4
"Share of the reckoned peak of processors: an assumption."
BANDWIDTH = 0.6
"Share of the bandwidth of memory that is reached: an assumption."
OPTIMIZER_BYTES = 40
"Moved for each trained parameter in a step: AdamW reads four numbers and writes three, clipping reads two and writes one."
TABLE_BYTES = 12
"Moved for each number of a table of words and pass: its gradient is made whole, and added."


class Rates(NamedTuple):
    """Operations a second at one width of models."""

    hidden: int
    predicting: float
    training: float
    checkpointed: float
    "Training with gradient checkpointing: what is computed twice is counted twice."


class Speed(NamedTuple):
    """What a device reaches in one precision."""

    rates: tuple[Rates, ...]
    "By width, narrow ones first."
    bandwidth: float
    "Bytes a second."
    is_measured: bool
    source: str

    def rate(self, hidden: int, *, training: bool, checkpointing: bool = False) -> float:
        """Operations a second at a width: between two that were measured by its logarithm, beyond them as at the last."""
        kind = ("checkpointed" if checkpointing else "training") if training else "predicting"
        points = [(one.hidden, float(getattr(one, kind))) for one in self.rates]
        if hidden <= points[0][0]:
            return points[0][1]
        for (narrow, low), (wide, high) in pairwise(points):
            if hidden <= wide:
                along = math.log(hidden / narrow) / math.log(wide / narrow)
                return low * (high / low) ** along
        return points[-1][1]


def speed_of(device: Device, *, precision: str, calibration: Mapping[str, object] | None) -> Speed:
    """The speed of a device in a precision, as calibrated where it was (`calibration.py`)."""
    if calibration is not None:
        measured = calibration.get(precision)
        if isinstance(measured, list) and measured:
            rates = tuple(sorted(Rates(int(one[0]), float(one[1]), float(one[2]), float(one[-1])) for one in measured))
            moved = calibration.get("bandwidth")
            bandwidth = float(moved) if isinstance(moved, int | float) else BANDWIDTH * device.spec.bandwidth_gbs * 1e9
            return Speed(rates, bandwidth, is_measured=True, source=f"a calibration of this machine ({calibration.get('date')})")
    peak = device.peak(precision)
    is_cpu = device.spec.kind == "cpu"
    shares = (ON_CPU, ON_CPU) if is_cpu else (PREDICTING, TRAINING)
    rates = (Rates(1, shares[0] * peak, shares[1] * peak, shares[1] * peak),)
    said = (
        f"{ON_CPU:.0%} of the reckoned peak is assumed: `calibrate` measures it where the device is"
        if is_cpu
        else f"assumed shares of the peak: {PREDICTING:.0%} to predict, as measured on an H100 with 0.56B parameters, "
        f"{TRAINING:.0%} to train; `calibrate` measures them where the device is"
    )
    return Speed(rates, BANDWIDTH * device.spec.bandwidth_gbs * 1e9, is_measured=False, source=said)
