"""`checked`: a test that returns a component becomes its check."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any


def checked(
    against: str = "", **options: Any
) -> Callable[[Callable[..., Any]], Callable[..., None]]:
    """Return a decorator for a test function that returns the component to be checked.

    The decorated test asks for the fixture `hz` besides its own, so it is selected, judged and
    reported as one that calls `hz.check`.

    >>> from hzbench.testing import checked
    >>> @checked(against="zeroth_order", directions="rademacher", samples=4)
    ... def test_mine():
    ...     from hzbench.estimators.zeroth_order import ZerothOrder
    ...     return ZerothOrder(directions="rademacher", samples=4)

    Arguments:
        against: the declared estimator or method.
        options: as for `hzbench.testing.check`.
    """

    def decorate(test: Callable[..., Any]) -> Callable[..., None]:
        own = inspect.signature(test)

        @functools.wraps(test)
        def run(*args: Any, hz: Any, **kwargs: Any) -> None:
            given = {**kwargs, "hz": hz} if "hz" in own.parameters else kwargs
            hz.check(test(*args, **given), against=against, **options)

        run.__signature__ = _with_fixture(own)  # type: ignore[attr-defined]
        return run

    return decorate


def _with_fixture(own: inspect.Signature) -> inspect.Signature:
    """The signature that asks for `hz` too."""
    if "hz" in own.parameters:
        return own
    asked = inspect.Parameter("hz", inspect.Parameter.KEYWORD_ONLY)
    return own.replace(parameters=[*own.parameters.values(), asked])
