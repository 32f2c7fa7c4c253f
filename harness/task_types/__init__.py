"""Task types: one module each, with what `TaskType` in _protocol.py asks; loaded by name through the registry."""
