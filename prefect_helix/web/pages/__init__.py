"""Pages: what of the runs each of them shows."""
