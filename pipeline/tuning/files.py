"""Names of what studies leave in artifacts/<competition>/tune/<member>/."""

BEST, TRIALS = "best.json", "trials.json"
