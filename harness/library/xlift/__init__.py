"""xlift from Python: the calls of the command line, with results in place of what it prints.

    import xlift

    done = xlift.evaluate(model="mini", tasks=["mini"], intermediate=["none", "mini/paraphrase"], recipe="mini")
    print(done.board)

This package is what an installation puts into site-packages: the code lies in its folder `source`, laid out as the checkout is.
There the rooms are called `harness` and `models`, and so they are here: this module says where these two names are found, and
nothing else of a program's own names changes.  In a checkout it says the same of the folders that it lies in.
"""

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

_HERE = Path(__file__).resolve().parent
SOURCE = _HERE / "source" if (_HERE / "source").is_dir() else _HERE.parents[2]
"The folder that holds harness/, models/, tasks/ and run_eval.py."
ROOMS = ("harness", "models")


class RoomFinder(MetaPathFinder):
    """Finds the two rooms before anything of the same name: a folder `models` beside a notebook, say."""

    def find_spec(self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """The package in SOURCE; None for all other names."""
        return PathFinder.find_spec(fullname, [str(SOURCE)]) if fullname in ROOMS else None


def _make_rooms_known() -> None:
    """Have the rooms found here and in the processes that this one starts, which take over `sys.path`."""
    for name in ROOMS:
        found = sys.modules.get(name)
        places = [Path(place).resolve() for place in getattr(found, "__path__", ())] if found else [SOURCE / name]
        if SOURCE / name not in places:
            other = getattr(found, "__file__", None) or ", ".join(map(str, places))
            raise ImportError(f"xlift has a package '{name}', and another of this name is imported already: {other}")
    if not any(isinstance(finder, RoomFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, RoomFinder())
    if str(SOURCE) not in sys.path:
        sys.path.append(str(SOURCE))


_make_rooms_known()

from harness import __version__ as __version__  # noqa: E402
from harness.api.errors import OutputFailed as OutputFailed  # noqa: E402
from harness.api.errors import UserError as UserError  # noqa: E402
from harness.library.calls import compare as compare  # noqa: E402
from harness.library.calls import evaluate as evaluate  # noqa: E402
from harness.library.calls import leaderboard as leaderboard  # noqa: E402
from harness.library.calls import plan as plan  # noqa: E402
from harness.library.results import Board as Board  # noqa: E402
from harness.library.results import Comparison as Comparison  # noqa: E402
from harness.library.results import Evaluation as Evaluation  # noqa: E402
from harness.library.results import Planning as Planning  # noqa: E402
