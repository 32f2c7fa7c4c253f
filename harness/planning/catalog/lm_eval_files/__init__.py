"""The reading side of task files of lm-evaluation-harness: names, files, conversion."""
