"""The pytest plugin, run in projects of its own."""
