"""Files on disk to AnnData and back: release, h5ad, blocks, counts, validation, audit, download."""
