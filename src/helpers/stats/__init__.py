"""Statistics that the field lacks: ages dealt over donors, age tests on profiles, composition, scores."""
