"""The worked examples as they are raced: each with a series of edits, applied to a copy of its files."""

from .census import CENSUS
from .feature_selection import FEATURE_SELECTION
from .genomics import GENOMICS
from .mnist import MNIST
from .spouse import SPOUSE

WORKLOADS = {workload.flow: workload for workload in (CENSUS, GENOMICS, SPOUSE, MNIST, FEATURE_SELECTION)}

__all__ = ["WORKLOADS"]
