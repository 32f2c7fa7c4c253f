"""The index of all YAML files, and what a single file cannot know."""
