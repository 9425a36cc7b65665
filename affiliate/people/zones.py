"""Time zones people choose from, and where most people of a country live (IANA zone.tab)."""

from collections import defaultdict
from functools import cache
from importlib.resources import files
from types import MappingProxyType

# Countries with several zones, by where most of their people live. The table has no such order.
MOST_PEOPLE = MappingProxyType(
    {
        "AR": "America/Argentina/Buenos_Aires",
        "AU": "Australia/Sydney",
        "BR": "America/Sao_Paulo",
        "CA": "America/Toronto",
        "CD": "Africa/Kinshasa",
        "CL": "America/Santiago",
        "CN": "Asia/Shanghai",
        "CY": "Asia/Nicosia",
        "DE": "Europe/Berlin",
        "EC": "America/Guayaquil",
        "ES": "Europe/Madrid",
        "ID": "Asia/Jakarta",
        "KZ": "Asia/Almaty",
        "MN": "Asia/Ulaanbaatar",
        "MX": "America/Mexico_City",
        "MY": "Asia/Kuala_Lumpur",
        "NZ": "Pacific/Auckland",
        "PT": "Europe/Lisbon",
        "RU": "Europe/Moscow",
        "UA": "Europe/Kyiv",
        "US": "America/New_York",
        "UZ": "Asia/Tashkent",
        "VN": "Asia/Ho_Chi_Minh",
    }
)

LIKELY = MappingProxyType({"zh-Hans": "CN", "pt-BR": "BR", "es-MX": "MX", "es-AR": "AR"})
"""The country of most who read a language; none where they live in many."""


def of_country(country: str) -> str:
    """Where nobody could say, UTC; the profile changes it."""
    zones = _by_country().get(country, [])
    return MOST_PEOPLE.get(country) or (zones[0] if len(zones) == 1 else "UTC")


@cache
def all_zones() -> tuple[str, ...]:
    return ("UTC", *sorted({zone for zones in _by_country().values() for zone in zones}))


@cache
def _by_country() -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    table = (files("tzdata") / "zoneinfo" / "zone.tab").read_text()
    for line in table.splitlines():
        if not line.startswith("#"):
            country, _place, zone, *_words = line.split("\t")
            found[country].append(zone)
    return found
