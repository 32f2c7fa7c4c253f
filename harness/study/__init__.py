"""From scores of a ladder of backbones to verdicts: statistics on plain tables, and the simulation that tries them on known truth."""
