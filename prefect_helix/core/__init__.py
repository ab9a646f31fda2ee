"""Deciding: pure functions over frozen values; knows neither the clock, the disk nor Prefect."""
