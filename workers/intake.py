"""Inbox jobs: book what waits, ask the shops, ring again for lost bells, forget old bodies."""

from affiliate import jobs
from affiliate.intake import (
    checkouts,
    consent,
    copying,
    fetching,
    products,
    pulling,
    service,
)
from affiliate.intake.coupons import asking
from workers import context
from workers.context import task


def drain(merchant_id: int, shop_id: int) -> None:
    """Book a shop's waiting events. Its batches are its own units of work."""
    with context.application().app_context():
        jobs.answer(jobs.Job.DRAIN_INBOX, merchant_id, shop_id)
        service.drain(merchant_id, shop_id)


def fetch(merchant_id: int, shop_id: int) -> None:
    """Fetch the orders that notices speak of. The shop is asked outside of transactions."""
    with context.application().app_context():
        jobs.answer(jobs.Job.FETCH_ORDERS, merchant_id, shop_id)
        fetching.fetch(merchant_id, shop_id)


def pull(merchant_id: int, shop_id: int) -> None:
    """Ask a shop what it changed. Each page is a unit of work of its own."""
    with context.application().app_context():
        pulling.pull(merchant_id, shop_id)


def drain_products(merchant_id: int, shop_id: int) -> None:
    """Take over what a shop told of its products. Its batches are its own units of work."""
    with context.application().app_context():
        jobs.answer(jobs.Job.DRAIN_PRODUCTS, merchant_id, shop_id)
        products.drain(merchant_id, shop_id)


def fetch_products(merchant_id: int, shop_id: int) -> None:
    with context.application().app_context():
        jobs.answer(jobs.Job.FETCH_PRODUCTS, merchant_id, shop_id)
        fetching.fetch(merchant_id, shop_id, goods=True)


def pull_products(merchant_id: int, shop_id: int) -> None:
    """Ask a shop for its products. Each page is a unit of work of its own."""
    with context.application().app_context():
        pulling.pull(merchant_id, shop_id, errand=products.PRODUCTS)


def ask_coupons(merchant_id: int, shop_id: int) -> None:
    """Make a shop's coupons what is wanted of them. The shop is asked outside of transactions."""
    with context.application().app_context():
        asking.ask(merchant_id, shop_id)


@task
def sweep_coupons() -> None:
    asking.sweep()


def register_hooks(merchant_id: int, shop_id: int) -> None:
    """Tell a shop that consented where its webhooks go. It is asked outside of transactions."""
    with context.application().app_context():
        consent.register(merchant_id, shop_id)


@task
def sweep() -> None:
    service.ring_for_waiting()


@task
def sweep_pulls() -> None:
    pulling.ring_for_due()
    pulling.ring_for_due(products.PRODUCTS)


@task
def match_copies() -> None:
    copying.match()


@task
def forget_bodies() -> None:
    service.forget_bodies()
    pulling.forget()
    checkouts.forget()
