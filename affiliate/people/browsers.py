"""What a User-Agent is called by people, to recognise their own by: "Firefox, Android"."""

# The first that occurs wins, so those that pretend to be others stand before them.
PROGRAMS = (
    ("MicroMessenger", "WeChat"),
    ("WhatsApp", "WhatsApp"),
    ("Instagram", "Instagram"),
    ("FBAN", "Facebook"),
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser", "Samsung Internet"),
    ("Firefox", "Firefox"),
    ("FxiOS", "Firefox"),
    ("CriOS", "Chrome"),
    ("Chrome", "Chrome"),
    ("Safari", "Safari"),
)
SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("HarmonyOS", "HarmonyOS"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("Macintosh", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
)


def name_of(user_agent: str) -> str:
    """Empty when nothing in it is known."""
    found = (_first(PROGRAMS, user_agent), _first(SYSTEMS, user_agent))
    return ", ".join(filter(None, found))


def _first(known: tuple[tuple[str, str], ...], user_agent: str) -> str | None:
    return next((name for mark, name in known if mark in user_agent), None)
