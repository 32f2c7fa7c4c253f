"""What the program is called on this command line: texts say run_eval.py, as in a checkout; an installation is called xlift.

as_called("python run_eval.py fetch --tasks xnli")        # 'xlift fetch --tasks xnli', where it was called so
"""

import re
import sys
from pathlib import Path

INSTALLED = "xlift"
TEXT = "run_eval.py"
_NAMED = re.compile(r"(?:\bpython )?(?<![\w/.])run_eval\.py\b")


def program() -> str:
    """How this process was called: `xlift` (also `python -m xlift`), or run_eval.py."""
    path = Path(sys.argv[0])
    return INSTALLED if path.name == INSTALLED or (path.name, path.parent.name) == ("__main__.py", INSTALLED) else TEXT


def as_called(text: str) -> str:
    """A text for the terminal in which the program has the name that it was called by."""
    return text if program() == TEXT else _NAMED.sub(INSTALLED, text)
