"""What the adapters of causal language models share."""
