"""Theorems: predictions computed from declared facts, never from the code that they judge."""
