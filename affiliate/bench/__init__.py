"""Benchmarks: each measure stands beside a floor of the same run, as machines are noisy.

They run on servers of their own in a temporary folder, never on anybody's data.
"""
