"""Building and checking submission CSVs. Reads `data` only."""
