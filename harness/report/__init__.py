"""The leaderboard: `board.build_board(folders)`, `board.write_board(board, path)`, `markdown.markdown(board)`."""
