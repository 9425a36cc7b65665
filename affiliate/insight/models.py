"""What is counted of clicks and orders, and kept when the rows themselves are gone."""

from datetime import date, datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from affiliate.db import Currency, Minor, Model, of_merchant, same_merchant

TOTAL = "total"  # the dimension that divides nothing


class Visit(Model):
    """Somebody came through a link on a day: what tells a new visitor from a known one, and a
    second tap from a second visit. Partitioned by month and forgotten after two.
    """

    __tablename__ = "visits"

    day: Mapped[date] = mapped_column(primary_key=True)  # in the merchant's zone
    link_id: Mapped[int] = mapped_column(primary_key=True)
    visitor: Mapped[int] = mapped_column(primary_key=True)  # a keyed hash, of another key each day
    last: Mapped[datetime]
    previous: Mapped[datetime | None]  # what `last` was before it was changed

    __table_args__ = ({"postgresql_partition_by": "RANGE (day)"},)


class ClickDay(Model):
    """Clicks of a day in the merchant's zone: all (promoter 0) and each promoter's, in total and by
    one dimension. Kept exact in the transaction that stores the clicks.
    """

    __tablename__ = "click_days"

    merchant_id: Mapped[int] = mapped_column(primary_key=True)
    promoter_id: Mapped[int] = mapped_column(primary_key=True)
    dimension: Mapped[str] = mapped_column(primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    value: Mapped[str] = mapped_column(primary_key=True)  # empty: unknown, or a total
    clicks: Mapped[int]
    valid_clicks: Mapped[int]
    visitors: Mapped[int]
    scans: Mapped[int]


class ClickQuarter(Model):
    """Clicks of a quarter of an hour, for the last days only: every zone's hours and midnights
    begin with one.
    """

    __tablename__ = "click_quarters"

    merchant_id: Mapped[int] = mapped_column(primary_key=True)
    promoter_id: Mapped[int] = mapped_column(primary_key=True)  # 0: all
    at: Mapped[datetime] = mapped_column(primary_key=True)
    clicks: Mapped[int]
    valid_clicks: Mapped[int]
    visitors: Mapped[int]
    scans: Mapped[int]


class OrderDay(Model):
    """Orders placed on a day in the merchant's zone, by whom and what they are credited to.

    Counted anew from the orders whenever one of that day was booked. 0 stands for nobody.
    """

    __tablename__ = "order_days"

    merchant_id: Mapped[int] = mapped_column(primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    currency: Mapped[Currency] = mapped_column(primary_key=True)
    shop_id: Mapped[int] = mapped_column(primary_key=True)
    program_id: Mapped[int] = mapped_column(primary_key=True)
    promoter_id: Mapped[int] = mapped_column(primary_key=True)
    link_id: Mapped[int] = mapped_column(primary_key=True)
    orders: Mapped[int]
    paid_orders: Mapped[int]
    kept_orders: Mapped[int]  # paid, and neither cancelled nor refunded whole
    revenue: Mapped[Minor]  # totals of paid orders
    refunds: Mapped[Minor]
    commission: Mapped[Minor]  # of all payees
    earned: Mapped[Minor]  # by the credited promoter

    __table_args__ = (sa.Index("order_days_promoter_idx", "promoter_id", "day"),)


class AssistDay(Model):
    """Orders of a day that a promoter's click might have earned, and another touch did."""

    __tablename__ = "assist_days"

    merchant_id: Mapped[int] = mapped_column(primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    promoter_id: Mapped[int] = mapped_column(primary_key=True)
    assists: Mapped[int]

    __table_args__ = (sa.Index("assist_days_promoter_idx", "promoter_id", "day"),)


class ClickMark(Model):
    """How far a slow work over old clicks has come."""

    __tablename__ = "click_marks"

    work: Mapped[str] = mapped_column(primary_key=True)
    upto: Mapped[datetime]


class OfferFigures(Model):
    """What everybody's links to a program brought in one currency lately; counted anew each day."""

    __tablename__ = "offer_figures"

    merchant_id: Mapped[int] = mapped_column(primary_key=True)
    program_id: Mapped[int] = mapped_column(primary_key=True)
    currency: Mapped[Currency] = mapped_column(primary_key=True)
    clicks: Mapped[int]  # in all currencies: a click has none
    orders: Mapped[int]
    kept_orders: Mapped[int]
    revenue: Mapped[Minor]
    refunds: Mapped[Minor]
    earned: Mapped[Minor]

    __table_args__ = (of_merchant(), same_merchant("program_id", "programs"))
