"""What the README prints: its specs run, and its answers are what comes out."""

import re
import shlex
import tomllib
from pathlib import Path

PATTERN = r"say `{name}`:\n\n```toml\n(.*?)```"
ADVICE = r"```sh\nhzbench (advise .*?)\n```\n\n((?:> .*\n)+)"
README = Path(__file__).parents[2] / "README.md"


def spec_in_readme(name):
    """The text of the spec that the README gives this name."""
    text = README.read_text("utf-8")
    (block,) = re.findall(PATTERN.format(name=re.escape(name)), text, re.DOTALL)
    return block


def test_the_first_spec_of_a_newcomer_passes(shell):
    block = spec_in_readme("mine.toml")
    assert {"problem", "nodes", "network", "method", "run"} <= set(tomllib.loads(block))
    path = Path("mine.toml")
    path.write_text(block, encoding="utf-8")
    found = shell.run(str(path))
    assert found.code == 0, found.out


def test_every_advice_is_what_is_printed(shell):
    Path("pilot.toml").write_text(spec_in_readme("pilot.toml"), encoding="utf-8")
    cases = re.findall(ADVICE, README.read_text("utf-8"))
    assert [quoted.split(":")[0] for _, quoted in cases] == ["> Yes", "> No", "> Yes", "> Yes"]
    for command, quoted in cases:
        code, out, _ = shell(*shlex.split(command))
        assert code == 0
        answer = " ".join(line.removeprefix("> ") for line in quoted.splitlines())
        assert answer in out, command
