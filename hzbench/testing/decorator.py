"""`checked`: a test that returns a component becomes its check."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any


def checked(
    against: str = "", **options: Any
) -> Callable[[Callable[..., Any]], Callable[..., None]]:
    """Return a decorator for a test function that returns the component to be checked.

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
        @functools.wraps(test)
        def run(*args: Any, **kwargs: Any) -> None:
            import pytest

            from hzbench.testing.checking import check
            from hzbench.testing.laws import CheckFailed

            try:
                check(test(*args, **kwargs), against=against, **options)
            except CheckFailed as failure:
                pytest.fail(str(failure), pytrace=False)

        return run

    return decorate
