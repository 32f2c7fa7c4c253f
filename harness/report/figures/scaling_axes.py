"""Logarithmic axes of model sizes, with ticks that say 100M and 1B.

log_sizes(panels, [85e6, 303e6])
size_text(85_054_464)                  # '85M'
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH = 0.12
"Decades left free beside the smallest and the largest."


def size_text(size: float) -> str:
    """A number of parameters in two or three digits."""
    for unit, name in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "K")):
        if size >= unit:
            return f"{size / unit:.3g}{name}" if size / unit < 100 else f"{size / unit:.0f}{name}"
    return f"{size:.0f}"


def log_sizes(panels: Sequence[Axes], sizes: Sequence[float]) -> None:
    """One logarithmic axis for all panels, as wide as the sizes."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    low, high = math.log10(min(sizes)) - WIDTH, math.log10(max(sizes)) + WIDTH
    steps = (1, 3) if high - low < 3 else (1,)
    ticks = [step * 10**decade for decade in range(math.floor(low), math.ceil(high) + 1) for step in steps]
    inside = [tick for tick in ticks if low <= math.log10(tick) <= high]
    for axes in panels:
        axes.set_xscale("log")
        axes.set_xlim(10**low, 10**high)
        axes.xaxis.set_major_locator(FixedLocator(inside if len(inside) > 1 else sorted(set(sizes))))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda size, _: size_text(size)))
