"""Pictures: a plan or a lineage in, text out."""
