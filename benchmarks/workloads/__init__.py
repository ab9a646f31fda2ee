"""The worked examples as they are raced: each with a series of edits, applied to a copy of its files."""
