"""The commands of run_eval.py: a module each, with HELP, add_arguments and run."""
