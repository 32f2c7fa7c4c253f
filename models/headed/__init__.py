"""Backbones with heads of this project, and their checkpoints."""
