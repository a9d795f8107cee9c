"""Helpers of the book "Aging Muscle, Cell by Cell"."""

from helpers.files import make_up_for_no_home

make_up_for_no_home()  # before numba looks for a place to keep what it compiled
