"""What stages cost: memory, arithmetic, hours and money on a named device, before anything is loaded."""
