"""Ways to do jobs, one a file: inline, processes, ray. Those with workers share pool and worker."""
