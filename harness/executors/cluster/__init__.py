"""Stages on the machines of a Ray cluster: the driver decides and holds the locks, workers compute."""
