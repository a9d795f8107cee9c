"""Checkers of the exercises: one module a chapter, each with ``CHECKS = {"NN.name": function}``."""
