"""What the provider remembers: every transfer it took and every call it got, one JSON line each.

The file is only added to and is on the disk before anything is answered, so a provider that was
killed knows all it ever promised.
"""

import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import Any

from affiliate import clock
from affiliate.payouts.sandbox.behaviour import Chance, Course, state_after


class OtherTransfer(Exception):
    """This reference stands for other money already."""


@dataclass(frozen=True, slots=True)
class Transfer:
    reference: str
    number: str  # the provider's own
    amount: int
    currency: str
    account: str
    taken_at: datetime
    course: Course
    reason: str
    tells: str

    @property
    def state(self) -> str:
        return state_after(self.course, (clock.now() - self.taken_at).total_seconds())

    @property
    def confirm_by(self) -> datetime | None:
        if self.state != "waiting":
            return None
        ends = [begins for begins, state in self.course if state != "waiting"]
        return self.taken_at + timedelta(seconds=min(ends)) if ends else None

    def shown(self) -> dict[str, Any]:
        state, until = self.state, self.confirm_by
        return {
            "id": self.number,
            "reference": self.reference,
            "amount": self.amount,
            "currency": self.currency,
            "state": state,
            "reason": self.reason if state in {"failed", "expired", "returned"} else "",
            "confirm_by": until.isoformat() if until else None,
        }


class Book:
    def __init__(self, path: Path, chance: Chance) -> None:
        self.transfers: dict[str, Transfer] = {}
        self._calls: Counter[str] = Counter()
        self._chance = chance
        self._lock = Lock()
        self._file = path.open("a+b")
        for line in _whole_lines(path):
            self._remember(line)
        # What a kill left half written was never answered.
        if self._file.seek(0, os.SEEK_END) and not path.read_bytes().endswith(b"\n"):
            self._file.write(b"\n")

    def close(self) -> None:
        self._file.close()

    def by_number(self, number: str) -> Transfer | None:
        return next((each for each in self.transfers.values() if each.number == number), None)

    def called(self, kind: str, reference: str) -> int:
        """Write down that somebody called about it; the how-manieth time, from 0."""
        with self._lock:
            number = self._calls[reference]
            self._write({"event": kind, "reference": reference})
            return number

    def fault(self, account: str | None, reference: str, call: int) -> str:
        known = self.transfers.get(reference)
        account = known.account if known else account or ""
        return self._chance.fault(self._chance.behaviour(account, reference), reference, call)

    def take(
        self, reference: str, amount: int, currency: str, account: str
    ) -> tuple[Transfer, bool]:
        """The transfer under this reference, which there is once, however often it is sent; and
        whether it is new.
        """
        with self._lock:
            known = self.transfers.get(reference)
            if known:
                if (known.amount, known.currency, known.account) != (amount, currency, account):
                    raise OtherTransfer
                return known, False
            plan = self._chance.behaviour(account, reference)
            self._write(
                {
                    "event": "transfer",
                    "reference": reference,
                    "number": f"SB{len(self.transfers) + 1:08}",
                    "amount": amount,
                    "currency": currency,
                    "account": account,
                    "course": plan.course,
                    "reason": plan.reason,
                    "tells": plan.tells,
                }
            )
            return self.transfers[reference], True

    def _write(self, row: dict[str, Any]) -> None:
        row = {"at": clock.now().isoformat(), **row}
        self._file.write(json.dumps(row).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self._remember(row)

    def _remember(self, row: dict[str, Any]) -> None:
        if row["event"] != "transfer":
            self._calls[row["reference"]] += 1
            return
        self.transfers[row["reference"]] = Transfer(
            row["reference"],
            row["number"],
            row["amount"],
            row["currency"],
            row["account"],
            clock.instant(row["at"]),
            tuple((begins, state) for begins, state in row["course"]),
            row["reason"],
            row["tells"],
        )


def _whole_lines(path: Path) -> Iterator[dict[str, Any]]:
    for line in path.read_bytes().splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            continue
