"""Short domains are asked whether they still lead here. Every minute looks who is due."""

from affiliate.links import probing
from workers import context


def probe_domains() -> None:
    """They are asked outside of transactions."""
    with context.application().app_context():
        probing.probe_all()
