"""leaderboard.json and its page."""
