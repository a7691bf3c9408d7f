"""Tests of the scalar engine."""
