"""Probes: synthetic tasks whose answer lies a known distance back, one a file (see `data.probes.base`)."""
