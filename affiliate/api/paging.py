"""Lists of the API: one page of rows and the cursor of the next."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import sqlalchemy as sa
from pydantic import BaseModel

from affiliate.api.shapes import ListQuery, Page
from affiliate.paging import rows

__all__ = ["page", "rows"]

Row = TypeVar("Row")
Shown = TypeVar("Shown", bound=BaseModel)


def page(
    statement: sa.Select[Row],
    query: ListQuery,
    *,
    by: Sequence[Any],
    show: Callable[[Row], Shown],
) -> Page[Shown]:
    """One page of a select of one entity, newest (highest) first.

    `by` are its columns that order it, together unique: `by=[Order.id]`, or
    `by=[Order.created_at, Order.id]`. Integers and instants only.
    """
    found, cursor = rows(statement, query, by=by)
    return Page(data=[show(row) for row in found], next=cursor)
