"""hzbench: does an optimizer do what its theory says, and with which error rate do we know?"""

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hzbench.core.spec import Spec as Spec
    from hzbench.harness.run import Result as Result
    from hzbench.harness.run import run as run

try:
    __version__ = version("hzbench")
except PackageNotFoundError:  # run from a checkout that is not installed
    __version__ = "0+unknown"

__all__ = ["Result", "Spec", "__version__", "run"]

_HOMES = {
    "Spec": "hzbench.core.spec",
    "Result": "hzbench.harness.run",
    "run": "hzbench.harness.run",
}


def __getattr__(name: str) -> Any:
    """Import the public names on first use, so that `import hzbench` stays fast."""
    import importlib

    if name not in _HOMES:
        raise AttributeError(f"module 'hzbench' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
