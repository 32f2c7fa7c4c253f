"""Lift as a function of size, and what may be said of it: effects, variances, regression, pooling, verdicts, looks, advice."""
