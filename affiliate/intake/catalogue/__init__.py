"""One file per platform that tells of its products: how they are named, read, fetched and listed.

Each ends with its `CATALOGUE`, which stands in the platform's `PLATFORM`.
"""
