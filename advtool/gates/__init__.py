"""Judges a result against what the user asks of it: for CI and for tests."""
