"""The command line of an installation: `xlift ...`, `python -m xlift ...`, `torchrun --nproc_per_node 2 -m xlift ...`."""

import importlib.util
import sys

from xlift import SOURCE


def main() -> int:
    """Run run_eval.py with the words of this command; returns the exit code."""
    spec = importlib.util.spec_from_file_location("run_eval", SOURCE / "run_eval.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    code: int = module.main()
    return code


if __name__ == "__main__":
    sys.exit(main())
