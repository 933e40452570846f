"""Networks by name: stacks of mixers with settings of their own, and what a stack cannot say."""
