"""Errors a user can cause, each with its way out (`got X; expected Y; do Z`)."""

from collections.abc import Iterable

_NAMED = 8  # cases named before "and n more"


class HzbenchError(Exception):
    """Root of every error that hzbench raises on purpose."""


class UserMistakeError(HzbenchError):
    """A mistake of the user's: the command line prints it without a traceback and exits with 2."""


class SpecError(UserMistakeError):
    """All the mistakes of one spec, in one message.

    Attributes:
        mistakes: one sentence each, in the order of the spec.
    """

    def __init__(self, mistakes: Iterable[str], where: str = "the spec") -> None:
        self.mistakes = tuple(dict.fromkeys(mistakes))
        count = len(self.mistakes)
        head = f"{count} mistake{'s' if count != 1 else ''} in {where}:"
        super().__init__("\n".join([head, *(f"  - {mistake}" for mistake in self.mistakes)]))


def told_once(found: Iterable[tuple[str, str]]) -> list[str]:
    """Every different mistake once, after the names of all that have it.

    Arguments:
        found: pairs (name, mistake); without a name the mistake stands alone.
    """
    holders: dict[str, list[str]] = {}
    for name, mistake in found:
        holders.setdefault(mistake, []).append(name)
    return [f"{_listed(names)}{mistake}" for mistake, names in holders.items()]


def _listed(names: list[str]) -> str:
    more = len(names) - _NAMED
    shown = ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
    return f"{shown}: " if shown else ""


class UnknownNameError(UserMistakeError):
    """A name that no component of the kind has; the message lists the nearest ones."""
