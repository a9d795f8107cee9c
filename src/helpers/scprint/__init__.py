"""Cells as vectors: the scPRINT-2 embedding atlas, out of core."""
