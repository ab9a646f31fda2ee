"""The runs of a store in a browser: shows, and decides nothing."""
