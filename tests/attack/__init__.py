"""The attack on the promise that a run with reuse returns what a run from scratch returns."""
