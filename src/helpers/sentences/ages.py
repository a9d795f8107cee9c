"""The reader of ages under its older name."""

from helpers.ages import *  # noqa: F403
