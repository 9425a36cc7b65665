"""Lists on pages: one page of rows after the cursor in the address."""

from dataclasses import dataclass
from typing import Any, TypeVar

import sqlalchemy as sa
from flask import request

from affiliate import paging

Row = TypeVar("Row")
ROWS = 50


@dataclass(frozen=True, slots=True)
class Asked:
    limit: int
    cursor: str | None


def page(
    statement: sa.Select[Row], by: list[Any], limit: int = ROWS
) -> tuple[list[Row], str | None]:
    """The rows after `?cursor=`, highest first, and the cursor of the next page."""
    return paging.rows(statement, Asked(limit, request.args.get("cursor")), by=by)
