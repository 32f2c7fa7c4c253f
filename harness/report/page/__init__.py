"""The page that people look at: one HTML file of a board, and of a study where there is one."""
