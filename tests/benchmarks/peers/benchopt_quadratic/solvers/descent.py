"""Gradient descent, 100 steps."""

from benchopt import BaseSolver


class Solver(BaseSolver):
    """x+ = x − ½ a x."""

    name = "descent"
    sampling_strategy = "run_once"

    def set_objective(self, curvature, start):
        """Keep the data."""
        self.curvature, self.start = curvature, start

    def run(self, _):
        """All steps."""
        self.x = self.start.copy()
        for _ in range(100):
            self.x -= 0.5 * self.curvature * self.x

    def get_result(self):
        """Where it ended."""
        return {"x": self.x}
