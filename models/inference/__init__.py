"""Likelihoods and generation, beginnings shared."""
