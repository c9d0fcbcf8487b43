"""Check your own estimator, method or problem against theory, from pytest or from Python."""

from typing import Any

__all__ = ["CheckFailed", "check", "checked"]


def __getattr__(name: str) -> Any:
    """Import on first use: the pytest plugin must cost nothing where it is not used."""
    if name not in __all__:
        raise AttributeError(f"module 'hzbench.testing' has no attribute {name!r}")
    import importlib

    home = {"checked": "decorator", "check": "checking", "CheckFailed": "laws"}[name]
    return getattr(importlib.import_module(f"hzbench.testing.{home}"), name)
