"""How all figures look, and how they are written: the same board gives the same bytes, whatever matplotlib is told elsewhere.

    with drawing():
        figure = new_figure(ONE_COLUMN, 2.0)
        ...
        save(figure, Path("figures"), "lifts")         # lifts.svg and lifts.png

Sizes are those of a paper with two columns: what is drawn is read at that width, never scaled down.  Colours are those of Okabe
and Ito, which colour-blind readers tell apart, and markers differ as well, so that a print in grey is read too.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from harness.api.errors import UserError
from harness.api.escaping import visible
from harness.runtime.outputs import failed_output

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ONE_COLUMN, TWO_COLUMNS, PAGE = 3.4, 6.9, 9.0
"Inches: two widths, and the height of a page."
DOTS = 300
"Dots per inch of the PNG."
GREY, LIGHT, DARK = "#6e6e6e", "#d9d9d9", "#222222"
_RC: dict[str, Any] = {
    "font.family": ["DejaVu Sans"],  # it comes with matplotlib: no other machine draws other letters
    "figure.dpi": DOTS,  # what is laid out has the widths of what is written
    "text.hinting": "none",
    "font.size": 7,
    "axes.titlesize": 7.5,
    "axes.labelsize": 7,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "legend.fontsize": 6.5,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "text.parse_math": False,  # a $ in a name is a $
    "axes.formatter.use_mathtext": False,
    "svg.fonttype": "path",
    "svg.hashsalt": "xlift",
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}


class Drawn(NamedTuple):
    """A figure that is to be written."""

    name: str
    figure: Figure
    caption: str


class DotLook(NamedTuple):
    """How one of several things is drawn."""

    colour: str
    marker: str


LOOKS = (
    DotLook("#0072b2", "o"),
    DotLook("#d55e00", "s"),
    DotLook("#009e73", "^"),
    DotLook("#cc79a7", "D"),
    DotLook("#e69f00", "v"),
    DotLook("#56b4e9", "P"),
)
"Of the lines in one panel: more of them go into another figure."
BASELINE = DotLook("#222222", "o")
"Of `none`."


@contextlib.contextmanager
def drawing() -> Iterator[None]:
    """Draw in this style alone; raises UserError where matplotlib is not there."""
    try:
        import matplotlib as mpl
    except ImportError as error:
        raise UserError("figures need matplotlib", where="--figures", found=str(error), todo="pip install matplotlib") from error
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_RC)  # type: ignore[arg-type]
        yield


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of a size in inches, drawn without any display."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.03, h_pad=0.04, wspace=0.02, hspace=0.03)  # type: ignore[union-attr,call-arg]
    FigureCanvasAgg(figure)
    return figure


def save(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Write a figure as SVG and PNG, without date or version; returns the paths."""
    paths = [folder / f"{name}.svg", folder / f"{name}.png"]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for _ in range(2):  # the first round does not know yet how wide the labels of the second are
            figure.draw_without_rendering()
        figure.set_layout_engine("none")  # what is laid out stays so for both files
        figure.savefig(paths[0], dpi=72, metadata={"Date": None, "Creator": None})
        figure.savefig(paths[1], dpi=DOTS, metadata={"Software": None})
    except OSError as error:
        raise failed_output(error, folder) from error
    return paths


@cache
def _letters() -> frozenset[int]:
    """The characters that the font has."""
    from matplotlib.font_manager import FontProperties, findfont
    from matplotlib.ft2font import FT2Font

    return frozenset(FT2Font(findfont(FontProperties(family="DejaVu Sans"))).get_charmap())


def drawable(text: str, *, most: int = 60) -> str:
    """A text on one line; characters that the font lacks are spelled out, and what is too long loses its middle."""
    text = "".join(letter if ord(letter) in _letters() else f"\\u{ord(letter):04x}" for letter in visible(" ".join(text.split())))
    return text if len(text) <= most else f"{text[: most // 2]}…{text[-(most - most // 2 - 1) :]}"


def plain_name(name: str, taken: Iterable[str], *, most: int = 80) -> str:
    """A name for a file, in plain letters, that is not among those taken."""
    others = frozenset(taken)
    plain = re.sub(r"[^A-Za-z0-9.+-]+", "-", name).strip("-")[:most] or "unnamed"
    return next(found for found in chain([plain], (f"{plain}-{number}" for number in count(2))) if found not in others)
