"""Verdicts: pure functions from a trace and a prediction to what may be claimed."""

from hzbench.judge.judge import judge as judge
