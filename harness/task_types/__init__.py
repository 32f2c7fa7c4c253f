"""Task types: one module each, with the functions of harness.api.protocols.TaskType; loaded by name through the registry."""
