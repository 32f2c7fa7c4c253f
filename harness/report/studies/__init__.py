"""Studies from run folders: what was found of a study, gathered for its results."""
