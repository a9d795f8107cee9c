"""Helpers of the book "Aging Muscle, Cell by Cell"."""
