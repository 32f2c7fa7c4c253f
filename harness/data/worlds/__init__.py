"""Generated worlds: data made by this project from a seed; one module a world, with `rows` and `fingerprint`."""
