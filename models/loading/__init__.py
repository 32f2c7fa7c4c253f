"""Files, configurations and weights of pretrained models."""
