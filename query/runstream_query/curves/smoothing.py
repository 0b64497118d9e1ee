"""Smooth the means of a curve in order of x. All functions are pure.

NaN and infinities have no weight and do not spread: they are left out, and get the smoothed value before them.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from runstream_proto.v1 import curves_pb2 as pb
from runstream_query.base.errors import InvalidRequestError

Floats = NDArray[np.float64]
MAX_EMA, MAX_SIGMA, MAX_WINDOW = 0.9999, 1000.0, 10_000
_REACH = 3
"""Standard deviations at which a normal kernel is cut off."""


def check_smoothing(smoothing: pb.Smoothing) -> None:
    """Raise InvalidRequestError where the amount of smoothing is out of range."""
    amount = smoothing.amount
    if smoothing.kind == pb.Smoothing.KIND_EMA and not 0 <= amount <= MAX_EMA:
        raise InvalidRequestError(f"smoothing.amount is {amount:g}: an EMA's weight is from 0 to {MAX_EMA}")
    if smoothing.kind == pb.Smoothing.KIND_GAUSSIAN and not 0 <= amount <= MAX_SIGMA:
        raise InvalidRequestError(f"smoothing.amount is {amount:g}: a standard deviation is from 0 to {MAX_SIGMA:g}")
    if smoothing.kind == pb.Smoothing.KIND_RUNNING_AVERAGE and not 1 <= amount <= MAX_WINDOW:
        raise InvalidRequestError(f"smoothing.amount is {amount:g}: a window is of 1 to {MAX_WINDOW} buckets")


def smooth(values: Floats, smoothing: pb.Smoothing) -> Floats:
    """Return the smoothed values, (B,) for (B,). With `smoothing.log`, logarithms of positive values are smoothed."""
    usable = np.isfinite(values) & ((values > 0) | (not smoothing.log))
    numbers = np.log(values[usable]) if smoothing.log else values[usable]
    if not len(numbers):
        return np.full(len(values), np.nan)
    match smoothing.kind:
        case pb.Smoothing.KIND_EMA:
            smoothed = ema(numbers, smoothing.amount)
        case pb.Smoothing.KIND_GAUSSIAN:
            smoothed = gaussian(numbers, smoothing.amount)
        case pb.Smoothing.KIND_RUNNING_AVERAGE:
            smoothed = running_average(numbers, int(smoothing.amount))
        case _:
            smoothed = numbers
    restored = np.exp(smoothed) if smoothing.log else smoothed
    latest = np.cumsum(usable) - 1
    return np.where(latest >= 0, restored[np.maximum(latest, 0)], np.nan)


def ema(values: Floats, weight: float) -> Floats:
    """Return the exponential moving average, without the bias of beginning at 0.

    m[i] = weight m[i-1] + (1 - weight) x[i], divided by 1 - weight^(i+1): see Kingma and Ba, Adam, 2014, section 3.
    """
    smoothed = np.empty_like(values)
    moment, debias = 0.0, 1.0
    for index, value in enumerate(values.tolist()):
        moment = weight * moment + (1 - weight) * value
        debias *= weight
        smoothed[index] = moment / (1 - debias)
    return smoothed


def gaussian(values: Floats, sigma: float) -> Floats:
    """Return the mean with normal weights by distance; `sigma` is in buckets.

    At the ends the kernel is cut off, and the mean is divided by the sum of the weights that are left.
    """
    if sigma <= 0:
        return values
    reach = min(math.ceil(_REACH * sigma), len(values) - 1)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    return _convolved(values, kernel)


def running_average(values: Floats, window: int) -> Floats:
    """Return the mean over the `window` values around each value; at the ends there are fewer.

    An even window has one more value before than after.
    """
    before, after = window // 2, (window - 1) // 2
    sums = np.concatenate([[0.0], np.cumsum(values)])
    places = np.arange(len(values))
    low, high = np.maximum(places - before, 0), np.minimum(places + after + 1, len(values))
    means: Floats = (sums[high] - sums[low]) / (high - low)
    return means


def _convolved(values: Floats, kernel: Floats) -> Floats:
    reach = len(kernel) // 2
    inside = slice(reach, reach + len(values))
    weights = np.convolve(np.ones(len(values)), kernel)[inside]
    smoothed: Floats = np.convolve(values, kernel)[inside] / weights
    return smoothed
