"""What a run wrote down of itself, and how it is gathered."""
