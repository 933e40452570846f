"""The staged pipeline: the only package that imports all others."""
