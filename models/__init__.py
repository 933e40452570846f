"""Networks, the forecaster that trains them, and members that join an ensemble. Reads `data`, never `features`."""
