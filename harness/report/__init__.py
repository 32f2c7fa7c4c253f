"""The leaderboard: `board = build_board([Path("runs/x")])`, `write_board(board, path)`, `markdown(board)`."""

from harness.report.board.board import build_board as build_board
from harness.report.board.board import write_board as write_board
from harness.report.board.markdown import markdown as markdown
