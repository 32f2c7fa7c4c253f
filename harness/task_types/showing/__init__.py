"""Rows and answers as texts for a reader, whatever their type."""
