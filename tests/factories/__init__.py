"""Rows for tests, one file per feature: plain functions that go through the real services."""
