"""a_k from .1 to 1, and a start of length 1."""

import numpy as np
from benchopt import BaseDataset


class Dataset(BaseDataset):
    """d = 20."""

    name = "diagonal"

    def get_data(self):
        """The numbers."""
        return {"curvature": np.linspace(0.1, 1.0, 20), "start": np.full(20, 20**-0.5)}
