"""What going on is likely to bring, in the unit of the error."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from steerage.search.predictor import MIN_OBSERVATIONS
from steerage.search.propose import CostFeatures, Observation, look_ahead
from steerage.seeds import child_seed
from steerage.space import Space, Values


def expected_gain(
    space: Space, history: Sequence[Observation], proposals: Sequence[Values], *, seed: int, cost_features: CostFeatures
) -> float | None:
    """Expected decrease of the least error by the best of ``proposals``, >= 0; None where too little is known to say.

    Errors that were never negative do not become so.
    """
    errors = [one.error for one in history if one.standing[0] == 0]
    if len(errors) < MIN_OBSERVATIONS or not proposals:
        return None
    rng = np.random.default_rng(child_seed(seed, "gain", len(history)))
    gain = float(look_ahead(space, history, cost_features, rng).gains(proposals).max())
    return min(gain, min(errors)) if min(errors) >= 0 else gain
