"""Building blocks of networks: layers, and what networks share in reading rows and windows. No registry."""
