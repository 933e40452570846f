"""Tuning: Optuna studies whose trials are ordinary train jobs, and what comes of them."""
