"""The same release, made up, with its planted truth."""
