"""xlift: does English intermediate training help zero-shot cross-lingual transfer, and does the help last with scale?

The command line is `run_eval.py` (or `xlift`, once installed).  `docs/architecture.md` says which room holds what.
"""

__version__ = "0.1.0"
