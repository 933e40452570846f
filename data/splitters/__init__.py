"""Splitters: how folds are made, one way a file."""
