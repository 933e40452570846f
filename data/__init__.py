"""What a competition is: its tables, windows, folds, metrics and predictions.

Nothing in this package imports `features`, `models`, `submissions` or `pipeline`.
"""
