"""tfheal deploys, checks and heals applications on slices that their owners keep."""

__version__ = "0.1.0"
