"""Networks, the forecaster that trains them, and members of an ensemble. Reads `data`, never `features`."""
