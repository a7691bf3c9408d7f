"""Tests of what times the passes of a case."""
