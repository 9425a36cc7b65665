"""What goes wrong on the way to somebody."""


class NotSent(Exception):
    """It was not taken. `for_good`: it never will be."""

    def __init__(self, trouble: str, *, for_good: bool) -> None:
        super().__init__(trouble)
        self.for_good = for_good
