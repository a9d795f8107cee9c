"""AnnData to tables: quality, pseudobulk, expression, composition, signatures, prediction."""
