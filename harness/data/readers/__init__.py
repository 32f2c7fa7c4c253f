"""Readers of local files: `read(files, *, lang, options)` yields rows; each module's `Options` documents what it takes."""
