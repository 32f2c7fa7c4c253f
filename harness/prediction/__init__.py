"""The prediction loop and what it is made of: cells, batches, answers streamed to disk."""
