"""Thousands of cases of a fuzzer by one command; `make fuzz` runs all fuzzers.

python tests/fuzz spec_files --count 10000                 # all of them: --seed 1, numbers 0 to 9999
python tests/fuzz spec_files --first 4711 --count 1 --detail    # one case again, with its traceback
"""

import argparse
import faulthandler
import importlib
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent.parent), str(HERE.parent / "support")]
FUZZERS = sorted(path.stem for path in HERE.glob("*.py") if not path.stem.startswith(("_", "test_", "conftest")))


def main() -> int:
    """Run campaigns and print what came of them; 1 if a case went wrong."""
    from fuzzing import alone, campaign, read_shipped_files_once

    parser = argparse.ArgumentParser(
        prog="python tests/fuzz", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("fuzzer", nargs="*", metavar="FUZZER", help=f"{', '.join(FUZZERS)} (default: all)")
    parser.add_argument("--count", type=int, default=1000, help="cases of each (default: 1000)")
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=20, help="a command that takes longer hangs (default: 20)")
    parser.add_argument("--detail", action="store_true", help="print the traceback of each kind of fault")
    parser.add_argument("--reread", action="store_true", help="read all shipped files in every command, as a user's command does")
    args = parser.parse_args()
    alone()
    if not args.reread:
        read_shipped_files_once()
    bad = False
    for name in args.fuzzer or FUZZERS:
        if name not in FUZZERS:
            parser.error(f"no fuzzer '{name}': {', '.join(FUZZERS)}")
        # What holds the interpreter itself hears no alarm: then the place is printed, and the process ends.
        faulthandler.dump_traceback_later(args.seconds * 30 + args.count * args.seconds, exit=True)
        tally = campaign(
            importlib.import_module(name).make,
            seed=args.seed,
            count=args.count,
            first=args.first,
            seconds=args.seconds,
            say=lambda text: sys.stderr.write(text + "\n"),
        )
        sys.stdout.write(f"{name}: {tally.report(detail=args.detail)}\n")
        bad = bad or bool(tally.bad)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
