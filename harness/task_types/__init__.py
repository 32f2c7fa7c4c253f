"""Task types: one module each, with the functions of harness.task_types._protocol.TaskType; loaded by name through the registry."""
