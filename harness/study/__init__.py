"""From scores of a ladder of backbones to verdicts: statistics on plain tables, tried on simulated studies."""
