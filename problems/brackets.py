"""Sequences of brackets: is the bracketing correct?"""

from __future__ import annotations

from collections.abc import Callable
from math import comb
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from hzbench.core.registry import register
from hzbench.problems.examples import DataSet, Examples

Tokens = NDArray[np.int64]
PADDING, OPENING, CLOSING = 0, 1, 2
_MOST = 0.5  # of all correct sequences of a length that may be drawn


@register("data", "brackets")
class Brackets(DataSet):
    """Sequences of brackets; class 1: correctly nested, class 0: not; all different, half and half.

    Formula: tokens 1 for "(", 2 for ")", 0 for padding at the end. Even lengths, uniform from
    `shortest` to `longest`; beside every correct sequence a wrong one of the same length, so that
    the length tells nothing. Correct ones are uniform among all of their length. A wrong one is
    such a sequence in which, in one half of them, one bracket is turned round (the count reveals
    it) and, in the other half, an opening and a closing bracket are exchanged (only the order
    reveals it): who only counts is right for 3 of 4.

    Source: the task of Ansaripour, Talaei, Nadiradze, Alistarh, "Hybrid Decentralized
    Optimization", AAAI 2025; how its sequences are drawn is stated here, not known from there.
    """

    origin: ClassVar[str] = "generated"
    content: ClassVar[str] = "25600 + 2560 sequences of 20 ... 32 brackets, 2 classes"
    labels: ClassVar[int | None] = 2

    training: int = Field(25_600, ge=4, multiple_of=4, description="training sequences")
    validation: int = Field(2_560, ge=4, multiple_of=4, description="validation sequences")
    shortest: int = Field(20, ge=4, multiple_of=2, description="shortest length")
    longest: int = Field(32, ge=4, multiple_of=2, description="longest length, of all with padding")
    seed: int = Field(0, ge=0, description="seed of the draw")

    @model_validator(mode="after")
    def _enough(self) -> Brackets:
        """Refuse an empty range of lengths, or more sequences than there are."""
        lengths = (self.longest - self.shortest) // 2 + 1
        if lengths < 1:
            raise ValueError(
                f"got shortest {self.shortest} above longest {self.longest}; expected it at most "
                "that; exchange them"
            )
        half, pairs = self.shortest // 2, (self.training + self.validation) // 2
        known = comb(2 * half, half) // (half + 1)
        if pairs / lengths > _MOST * known:
            raise ValueError(
                f"got {pairs} correct sequences of {lengths} lengths; expected at most "
                f"{_MOST * known:.0f} a length, half of all that have {self.shortest} brackets; "
                "raise shortest, or take fewer"
            )
        return self

    def load(self) -> Examples:
        """Both parts, drawn from the seed; exactly balanced."""
        random = np.random.default_rng(self.seed)
        first, pairs = self.training // 2, (self.training + self.validation) // 2
        lengths = random.integers(self.shortest // 2, self.longest // 2 + 1, pairs)
        correct, wrong = (np.zeros((pairs, self.longest), dtype=np.int64) for _ in range(2))
        turned = np.arange(pairs) % 2 == 0
        for half in np.unique(lengths):
            here, width = lengths == half, 2 * half
            for rows, kept, draw in (
                (correct, here, _correct),
                (wrong, here & turned, _turned),
                (wrong, here & ~turned, _exchanged),
            ):
                rows[kept, :width] = _distinct(random, draw, int(half), int(kept.sum()))
        parts = [
            self._part(random, correct[rows], wrong[rows])
            for rows in (slice(first), slice(first, None))
        ]
        return Examples(
            inputs=parts[0][0],
            targets=parts[0][1],
            validation_inputs=parts[1][0],
            validation_targets=parts[1][1],
            shape=(self.longest,),
            classes=2,
            vocabulary=3,
        )

    @staticmethod
    def _part(random: np.random.Generator, correct: Tokens, wrong: Tokens) -> tuple[Tokens, Tokens]:
        order = random.permutation(len(correct) + len(wrong))
        targets = np.repeat(np.array([1, 0], dtype=np.int64), (len(correct), len(wrong)))
        return np.concatenate([correct, wrong])[order], targets[order]


Draw = Callable[[np.random.Generator, int, int], Tokens]


def _correct(random: np.random.Generator, half: int, count: int) -> Tokens:
    """Uniform correct sequences [count, 2 half].

    Of the rotations of half + 1 openings and half closings, exactly one opens more than it closes
    at every place (Dvoretzky and Motzkin's cycle lemma): the one after the last lowest height.
    Without its first bracket it is correct.
    """
    size = 2 * half + 1
    steps = np.tile(np.repeat(np.array([1, -1]), (half + 1, half)), (count, 1))
    steps = random.permuted(steps, axis=1)
    heights = np.cumsum(steps, axis=1)
    last = size - 1 - np.argmin(heights[:, ::-1], axis=1)
    turned = np.take_along_axis(steps, (last[:, None] + 1 + np.arange(size)) % size, axis=1)
    return np.where(turned[:, 1:] > 0, OPENING, CLOSING).astype(np.int64)


def _turned(random: np.random.Generator, half: int, count: int) -> Tokens:
    """Correct sequences with one bracket, any, turned round."""
    rows = _correct(random, half, count)
    place = random.integers(0, 2 * half, count)
    rows[np.arange(count), place] = OPENING + CLOSING - rows[np.arange(count), place]
    return rows


def _exchanged(random: np.random.Generator, half: int, count: int) -> Tokens:
    """Correct sequences with an opening and a closing bracket, any, exchanged; wrong ones only."""
    rows, every = _correct(random, half, count), np.arange(count)
    places = np.argsort(rows, axis=1, kind="stable")  # the openings, then the closings
    first = places[every, random.integers(0, half, count)]
    second = places[every, half + random.integers(0, half, count)]
    rows[every, first], rows[every, second] = CLOSING, OPENING
    heights = np.cumsum(np.where(rows == OPENING, 1, -1), axis=1)
    return np.asarray(rows[heights.min(axis=1) < 0])


def _distinct(random: np.random.Generator, draw: Draw, half: int, count: int) -> Tokens:
    """That many different sequences, in the order of the draw."""
    rows = np.empty((0, 2 * half), dtype=np.int64)
    while len(rows) < count:
        rows = np.concatenate([rows, draw(random, half, 2 * count)])
        rows = rows[np.sort(np.unique(rows, axis=0, return_index=True)[1])]
    return rows[:count]
