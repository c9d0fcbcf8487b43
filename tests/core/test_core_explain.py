"""A mistake in a key with several types is one sentence, about the type it comes nearest to."""

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError

from hzbench.core.explain import explain


class Inner(BaseModel):
    size: int = 1


class Table(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    noise: float | tuple[float, ...] | tuple[tuple[float, ...], ...] = 0.0
    turned: bool | tuple[float, ...] = False
    inner: Inner = Inner()
    wanted: int = 0


@pytest.mark.parametrize(
    ("table", "sentences"),
    [
        ('{"noise": "x"}', ["noise: got 'x'; expected a number or a list; correct it"]),
        ('{"noise": [1, "a"]}', ["noise.1: got 'a'; expected a number; correct it"]),
        ('{"noise": [[1], [2, true]]}', ["noise.1.1: got True; expected a number; correct it"]),
        ('{"turned": 3}', ["turned: got 3; expected true or false or a list; correct it"]),
        (
            '{"inner": {"size": "s"}, "wanted": 0.5, "noize": 1}',
            [
                "inner.size: got 's'; expected a whole number; correct it",
                "wanted: got 0.5; expected a whole number; correct it",
                "noize: got an unknown key; expected a documented one; remove it or correct it",
            ],
        ),
    ],
)
def test_one_sentence_a_mistake(table, sentences):
    with pytest.raises(ValidationError) as caught:
        Table.model_validate_json(table)
    assert explain(caught.value) == sentences
    assert explain(caught.value, "problem")[0].startswith("problem.")
