"""Figures of a board and of a study for papers, as SVG and PNG; matplotlib is imported when one is drawn."""
