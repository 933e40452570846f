"""How far back a trained network uses its data, measured on any data.

`models.memory.summary.memory_of` measures everything, `models.memory.fitted_member.memory_of_fit` that of a
member of a competition; each measure is a module of its own.
"""
