"""Where stages live and what they run on: folders and locks, machine, processes, engines, weights."""
