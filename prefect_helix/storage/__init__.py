"""Keeping: blobs, traces and files behind one fsspec URL."""
