"""Post-processing of predictions, one step a file, found through POSTS."""
