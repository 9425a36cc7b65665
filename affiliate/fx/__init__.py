"""Rates of exchange: imported, dated, for display and brackets of tax; nothing is paid by them."""
