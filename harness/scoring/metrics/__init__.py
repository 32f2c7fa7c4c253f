"""Metrics, one module each: `METRICS.load("squad").stats(prediction, gold, lang="en")`, then `combine` of the summed stats."""
