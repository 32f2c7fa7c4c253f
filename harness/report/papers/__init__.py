"""A board as files for papers and for other programs: the long table, one row a cell, and tables in LaTeX."""
