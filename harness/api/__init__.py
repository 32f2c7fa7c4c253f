"""What models/ and harness/ agree on: protocols with their defaults, errors, plug points, seeds."""
