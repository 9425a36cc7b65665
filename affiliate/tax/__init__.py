"""What a payer keeps back for the tax authority: the tables, and who a payee is to it."""
