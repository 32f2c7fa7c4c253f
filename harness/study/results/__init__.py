"""From the scores of a study and its file to what it says: lifts by size, verdicts, what would decide; study.json."""
