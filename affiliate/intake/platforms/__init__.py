"""One file per shop platform: how its webhooks are signed, named and read.

A platform is a module with the functions of `interface.Platform`.
"""

from affiliate.intake.platforms import shopify, standard
from affiliate.intake.platforms.interface import Platform

__all__ = ["PLATFORMS", "Platform"]

PLATFORMS: dict[str, Platform] = {"shopify": shopify, "standard": standard}
