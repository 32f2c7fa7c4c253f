"""Bytes, hours, operations and money as text.

gib(3 * 2**30)             # '3.0 GiB'
hours(5400)                # '1.5 h'
"""


def gib(size: float) -> str:
    """Bytes as GiB, below half of one as MiB."""
    return f"{size / 2**30:.1f} GiB" if size >= 2**29 else f"{size / 2**20:.0f} MiB"


def hours(seconds: float | None) -> str:
    """Seconds as hours, short ones as minutes or seconds; ? for None."""
    if seconds is None:
        return "?"
    if seconds >= 3600:
        return f"{seconds / 3600:,.1f} h" if seconds < 360_000 else f"{seconds / 3600:,.0f} h"
    return f"{seconds / 60:.0f} min" if seconds >= 60 else f"{seconds:.0f} s"


def operations(flops: float | None) -> str:
    """Floating-point operations with their power of ten as a word; ? for None."""
    if flops is None:
        return "?"
    for size, word in ((1e18, "exa"), (1e15, "peta"), (1e12, "tera")):
        if flops >= size:
            return f"{flops / size:,.3g} {word}FLOP"
    return f"{flops / 1e9:,.3g} gigaFLOP"


def money(seconds: float, price: float) -> str:
    """The cost of seconds of one device at an hourly price, in the currency of the price."""
    cost = seconds / 3600 * price
    return f"{cost:,.0f}" if cost >= 100 else f"{cost:,.2f}"
