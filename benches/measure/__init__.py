"""The standing measurements: who is measured, how, and how it is told. `benches/run.py` is the entry."""
