"""Stages: prepare, features, baseline, train, blend, submit, report; one a file."""
