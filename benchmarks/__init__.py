"""Benchmarks: ratios taken in one run, on the same data, beside what analysts use today."""
