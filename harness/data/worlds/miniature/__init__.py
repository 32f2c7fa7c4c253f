"""The parts of the miniature world `mini`."""
