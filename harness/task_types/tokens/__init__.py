"""What task types share that read tokens: sequences, windows."""
