"""The leaderboard: `board = build_board([Path("runs/x")])`, `write_board(board, path)`, `markdown(board)`."""

from harness.report.board import build_board as build_board
from harness.report.board import write_board as write_board
from harness.report.page import markdown as markdown
