"""Sequences of different lengths side by side in one row of tokens, without padding between them."""
