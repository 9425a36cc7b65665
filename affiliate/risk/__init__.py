"""Signals that something is odd, and cases for people to decide."""
