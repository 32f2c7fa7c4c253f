"""How fast this machine is: what an executor measures when no stage asks for it."""
