"""The spec of the README's tour: it runs and passes as a newcomer would copy it."""

import re
import tomllib
from pathlib import Path

PATTERN = r"say `mine.toml`:\n\n```toml\n(.*?)```"
README = Path(__file__).parents[2] / "README.md"


def test_the_first_spec_of_a_newcomer_passes(shell):
    (block,) = re.findall(PATTERN, README.read_text("utf-8"), re.DOTALL)
    assert {"problem", "nodes", "network", "method", "run"} <= set(tomllib.loads(block))
    path = Path("mine.toml")
    path.write_text(block, encoding="utf-8")
    found = shell.run(str(path))
    assert found.code == 0, found.out
