"""--model and --model_args settled."""
