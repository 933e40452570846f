"""Ways to do jobs, one a file: inline, processes."""
