"""The calls of Python that `import xlift` gives: each does what a command does, and returns what that prints."""
