"""Submissions as people keep them: folders, the log, differences, uploads, made again, for new test rows."""
