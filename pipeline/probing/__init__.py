"""Members on long-dependency probes: one cell (probe, length, member, seed) fitted, and cells summed up."""
