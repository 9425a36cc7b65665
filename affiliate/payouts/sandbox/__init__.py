"""A provider that pays nobody and misbehaves on purpose: `affiliate sandbox-psp`.

It shares no code with the platform. `behaviour` says what it does with whom, `book` is what it
remembers, `server` is its HTTP,
`wires` how other providers would say the same.
"""
