"""What task types share that compare vectors: pooling, neighbours, margins."""
