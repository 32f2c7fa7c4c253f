"""Studies whose truth is known, drawn by the thousand, and what the statistics make of them."""
