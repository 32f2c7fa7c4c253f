"""From names on the command line to stages: specs found, settings settled, costs estimated."""
