"""News for open pages: something came in, ask again. Never what: pages fetch that themselves.

    worker, after the commit          Valkey               affiliate live            page
    channels.announce(…)     ──▶  live:0:merchant:7  ──▶  GET /live/<token>  ──▶  live.js
                                                          event: news             hx-trigger="news"

Held connections are in a process of their own, so that clicks never wait for them. Losing a message
costs nothing but seconds: pages also ask by themselves.
"""
