"""How far back a trained network uses its data, measured on any data."""
