"""Somebody else's package: right components, and the same with one mistake each."""
