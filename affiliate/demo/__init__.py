"""The demo: a garment brand with three shops, thirty promoters and ninety days behind it."""

from affiliate.demo.cli import demo
from affiliate.demo.history import load
from affiliate.demo.people import log_ins

__all__ = ["demo", "load", "log_ins"]
