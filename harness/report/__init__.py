"""What a run wrote down, and what is made of it: boards, comparisons, submissions."""
