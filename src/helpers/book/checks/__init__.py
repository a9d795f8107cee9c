"""Checkers of the exercises: one module a chapter; ``dense`` of ``ch01`` checks the exercise ``"01.dense"``."""
