"""Feature families, one a file. Reads `data`; never imports `models`."""
