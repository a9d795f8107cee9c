"""Cells as text: ages, symbols, encoding, decoding, datasets."""
