"""The race: every workload's series of edits, under what people use today and under prefect_helix, on one machine."""
