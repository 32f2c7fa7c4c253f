"""Adapters: one module for each kind of model; a leading `_` marks what they share."""
