"""How wide an interval of a mean is: Student's t, since an experiment may have three seeds."""

from __future__ import annotations

CONFIDENCE = 0.95


def interval_errors(replicas: int, confidence: float = CONFIDENCE) -> float:
    """Standard errors on either side of a mean of that many replicas; nan below two.

    Exact for normal replicas: 4.30 for 3 of them, 1.96 for many.
    """
    from scipy.special import stdtrit

    return float(stdtrit(replicas - 1, (1 + confidence) / 2)) if replicas > 1 else float("nan")
