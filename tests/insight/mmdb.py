"""A MaxMind DB of a few networks of IPv4, by the format's own description: 24-bit records."""

import ipaddress


def made(countries: dict[str, str]) -> bytes:
    """Of country codes by network."""
    nodes: list[list[int | str | None]] = [[None, None]]
    for network, country in countries.items():
        at, parts = 0, ipaddress.ip_network(network)
        bits = f"{int(parts.network_address):032b}"[: parts.prefixlen]
        for bit in map(int, bits[:-1]):
            if nodes[at][bit] is None:
                nodes.append([None, None])
                nodes[at][bit] = len(nodes) - 1
            at = nodes[at][bit]
        nodes[at][int(bits[-1])] = country
    data, places = b"", {}
    for country in sorted(set(countries.values())):
        places[country] = len(data)
        data += _map({"country": _map({"iso_code": _text(country)})})
    tree = b"".join(
        _record(child, len(nodes), places).to_bytes(3) for node in nodes for child in node
    )
    about = {
        "node_count": _number(6, len(nodes)),
        "record_size": _number(5, 24),
        "ip_version": _number(5, 4),
        "database_type": _text("Countries"),
        "languages": bytes([0, 4]),  # an empty array, of an extended type
        "binary_format_major_version": _number(5, 2),
        "binary_format_minor_version": _number(5, 0),
        "build_epoch": bytes([4, 2]) + (1_790_000_000).to_bytes(4),
        "description": _map({}),
    }
    return tree + bytes(16) + data + b"\xab\xcd\xefMaxMind.com" + _map(about)


def _record(child: int | str | None, count: int, places: dict[str, int]) -> int:
    if child is None:
        return count  # nothing there
    return child if isinstance(child, int) else count + 16 + places[child]


def _map(pairs: dict[str, bytes]) -> bytes:
    return bytes([7 << 5 | len(pairs)]) + b"".join(
        _text(name) + value for name, value in pairs.items()
    )


def _text(text: str) -> bytes:
    return bytes([2 << 5 | len(text)]) + text.encode()  # shorter than 29


def _number(kind: int, value: int) -> bytes:
    return bytes([kind << 5 | 4 if kind == 6 else kind << 5 | 2]) + value.to_bytes(
        4 if kind == 6 else 2
    )
