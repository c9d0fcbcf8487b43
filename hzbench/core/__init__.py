"""Protocols, records, registry and streams; imports nothing else of hzbench."""
