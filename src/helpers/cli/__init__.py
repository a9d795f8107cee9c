"""The command ``musclebook``: one file for each group of commands."""
