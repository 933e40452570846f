"""Blenders, one a file, found through BLENDERS; `nested` scores them on rows that they were not fitted on."""
