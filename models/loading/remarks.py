"""What transformers and other packages say: silenced while they load, told in a line where they fail.

with quiet():
    model = AutoModel.from_pretrained(folder)
first_line(error)            # 'ValueError: unknown dtype'
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import transformers


@contextmanager
def quiet() -> Iterator[None]:
    """Silence transformers' loading report and progress bar: what matters of them is checked and raised here."""
    level, bars = transformers.logging.get_verbosity(), transformers.logging.is_progress_bar_enabled()
    hooks = logging.getLogger("accelerate.big_modeling")  # it tells of what was asked for: that layers are offloaded
    own = hooks.level
    transformers.logging.set_verbosity_error()
    hooks.setLevel(logging.ERROR)
    transformers.logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers.logging.set_verbosity(level)
        hooks.setLevel(own)
        if bars:
            transformers.logging.enable_progress_bar()


def first_line(error: BaseException) -> str:
    """What an error of another package says, in a line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {' '.join(lines[:2])}"[:300]
