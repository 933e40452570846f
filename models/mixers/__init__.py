"""Mixers: what carries information from row to row, one family a file (see `models.mixers.base`)."""
