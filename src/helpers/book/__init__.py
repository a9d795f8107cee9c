"""Notebooks to site: parameters, runs, pairing, gallery, workshop."""
