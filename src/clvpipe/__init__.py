"""clvpipe: what each customer is worth, will be worth, and where each stands in the relationship."""

__version__ = "0.1.0"
