"""Fused CPU kernels: the plans of the torch executor, many steps a call, draws included."""
