"""The command ``musclebook``."""
