"""XTREME's submission files: write them from a run (`export`), score any such folder as its evaluate script does (`score`)."""
