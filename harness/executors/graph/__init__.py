"""What executors share: which stages can run now, what one of them does, what became of all."""
