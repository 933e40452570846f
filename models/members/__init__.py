"""Members of an ensemble: anything that fits a fold and predicts rows."""
