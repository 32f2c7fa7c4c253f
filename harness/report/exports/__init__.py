"""A board in the files that other programs read: a module a format."""
