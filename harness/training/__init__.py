"""The training loop and what it is made of: items, mixture, gradients, states."""
