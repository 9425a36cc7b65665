"""What a redirect sees of a visitor whose link leads some people elsewhere. Most links do not, so
nothing is loaded before the first of them.
"""

from collections.abc import Callable
from functools import cached_property
from pathlib import Path

from flask import Flask

from affiliate.insight import places
from affiliate.insight.places import Place
from affiliate.links.targets import Looks, languages_of

SYSTEMS = {"iOS": "ios", "Android": "android"}


class Sight:
    def __init__(self, geoip: Path | None) -> None:
        self._geoip = geoip

    def __call__(self, address: str, user_agent: str, accept_language: str) -> Looks:
        from affiliate.insight import agents

        agent = agents.classify(user_agent)
        return Looks(
            country=self._place(address)[1],
            device=agent.device,
            system=SYSTEMS.get(agent.os or ""),
            app=agent.app,
            languages=languages_of(accept_language),
        )

    @cached_property
    def _place(self) -> Callable[[str], Place]:
        return places.finder(self._geoip)


def init_app(app: Flask) -> None:
    app.extensions["sight"] = Sight(app.config["SETTINGS"].geoip)
