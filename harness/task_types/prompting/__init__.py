"""Tasks put into words for language models: prompts, requests, and the way back from answers to labels.

See `harness.task_types.prompting.route`, which stands where a task type stands on the other routes.
"""
