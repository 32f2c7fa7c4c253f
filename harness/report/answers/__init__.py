"""Answers of a model beside their rows: what was asked, what is right, what was predicted, and how sure the model was."""
