"""The unit cube: each point of it is a trial's parameters, and equal volumes are as likely."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sweep.results import Row
from sweep.study.model import Categorical, IntRange, Parameter
from sweep.study.points import value_count


class UnitCube:
    """The cube whose axes are the parameters of a study, in their order.

    Parameters
    ----------
    parameters
        The parameters by name.
    """

    def __init__(self, parameters: Mapping[str, Parameter]) -> None:
        self.parameters = parameters

    def rows(self, points: NDArray[Any]) -> list[Row]:
        """Return the parameters of some points.

        Parameters
        ----------
        points
            Coordinates from 0 to below 1.  # [trial, parameter]
        """
        if not self.parameters:
            return [{} for _ in points]
        columns = [
            _values(parameter, points[:, axis])
            for axis, parameter in enumerate(self.parameters.values())
        ]
        return [dict(zip(self.parameters, row, strict=True)) for row in zip(*columns, strict=True)]


def _values(parameter: Parameter, coordinates: NDArray[Any]) -> list[Any]:
    """Return the values of a parameter at some coordinates, as Python's own numbers."""
    if isinstance(parameter, Categorical):
        places = (coordinates * len(parameter.choices)).astype(int).tolist()
        return [parameter.choices[place] for place in places]
    low, high, step = parameter.low, parameter.high, parameter.step
    if isinstance(parameter, IntRange) and parameter.log:
        # Each whole number has its share of the logarithms, from half below it to half above.
        lows, highs = np.log(low - 0.5), np.log(high + 0.5)
        near = np.rint(np.exp(lows + coordinates * (highs - lows))).astype(int)
        whole: list[Any] = np.clip(near, low, high).tolist()
        return whole
    if step is not None:
        places = (coordinates * (value_count(parameter) or 1)).astype(int).tolist()
        return [round(low + step * place, 12) for place in places]
    if parameter.log:
        between = np.exp(np.log(low) + coordinates * (np.log(high) - np.log(low)))
    else:
        between = low + coordinates * (high - low)
    numbers: list[Any] = np.clip(between, low, high).tolist()
    return numbers
