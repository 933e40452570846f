"""Readers and simulators: what a competition's YAML cannot say, one competition a file."""
