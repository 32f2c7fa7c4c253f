"""Specs: what a user writes in YAML, as frozen pydantic models, and the loader that keeps file and line of every value."""
