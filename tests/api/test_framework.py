"""What every endpoint gets from the framework."""
