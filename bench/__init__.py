"""Budgets measured at full size: `python -m bench`."""
