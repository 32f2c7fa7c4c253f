"""From a study file to runs: the ladder of backbones, what is asked of each, learning rates chosen on English rows."""
