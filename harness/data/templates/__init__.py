"""Jinja2 templates of tasks, of other harnesses' files and of chat models, all run in a sandbox and under the same limits."""
