"""The use case: one flow run, from its plan to its lineage; knows neither Prefect nor fsspec."""
