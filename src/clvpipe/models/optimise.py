"""Maximisation of a smooth log-likelihood of a few parameters by Newton's method."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from clvpipe.models.arrays import FloatArray
from clvpipe.models.likelihood import Evaluation

Objective = Callable[[FloatArray], Evaluation]

# ln of 1e-11 .. 1e11 in scaled units: beyond it a parameter is at a limit, and the limit is a model.
_BOUND = 25.0
_MOST_STEPS = 100
# Expected gain in ln L of a further Newton step; far below anything that a test could see.
_NEGLIGIBLE_GAIN = 1e-12


@dataclass(frozen=True)
class Optimum:
    """Where the climb ended, and what the surface looks like there."""

    coordinates: FloatArray
    evaluation: Evaluation
    gradient_norm: float
    """Euclidean norm of the gradient, an observation."""
    expected_gain: float
    """½ g' (−H)⁻¹ g: what a quadratic surface would still gain; inf if H is not negative definite."""
    eigenvalues: FloatArray
    """Of the negative Hessian."""
    iterations: int

    @property
    def value(self) -> float:
        """Log-likelihood reached."""
        return self.evaluation.value

    @property
    def is_peak(self) -> bool:
        """Negative Hessian positive definite, beyond rounding."""
        return bool(self.eigenvalues[0] > 1e-12 * max(self.eigenvalues[-1], 0.0))

    @property
    def condition_number(self) -> float:
        """Of the negative Hessian; the largest float if it is singular or worse."""
        if not self.is_peak:
            return float(np.finfo(np.float64).max)
        return float(self.eigenvalues[-1] / self.eigenvalues[0])

    @property
    def converged(self) -> bool:
        """A peak, with less than 1e-6 of ln L left to gain."""
        return self.is_peak and self.expected_gain < 1e-6

    def covariance(self) -> FloatArray:
        """Inverse of the observed information (meaningful only at a peak), symmetric to the bit."""
        inverse = np.linalg.inv(-self.evaluation.hessian)
        return np.asarray(0.5 * (inverse + inverse.T), dtype=np.float64)


def climb(objective: Objective, start: FloatArray, n: float, enough: float = _NEGLIGIBLE_GAIN) -> Optimum:
    """Damped Newton from ``start``; never goes down, stops when a step would gain less than ``enough``.

    Where the surface is not concave the curvatures' absolute values give an uphill direction. The Hessian is
    exact and cheap beside the likelihood, so nothing is gained by approximating it first; and a quasi-Newton
    library would call threaded BLAS on four-by-four matrices, which costs more than the likelihood.
    """
    coordinates = np.clip(start, -_BOUND, _BOUND)
    at = objective(coordinates)
    iterations = 0
    for _ in range(_MOST_STEPS):
        values, vectors = np.linalg.eigh(-at.hessian)
        curvature = np.maximum(np.abs(values), 1e-10 * max(float(np.abs(values).max()), 1e-300))
        # Products of 2 to 4 numbers: no threaded reduction.
        slopes = vectors.T @ at.gradient
        step = vectors @ (slopes / curvature)
        if 0.5 * float(np.sum(slopes**2 / curvature)) < enough:
            break
        step *= min(1.0, 3.0 / max(float(np.abs(step).max()), 1e-300))
        better = _first_better(objective, coordinates, at, step)
        if better is None:
            break
        coordinates, at = better
        iterations += 1
    values, vectors = np.linalg.eigh(-at.hessian)
    slopes = vectors.T @ at.gradient
    gain = 0.5 * float(np.sum(slopes**2 / values)) if values[0] > 0 else np.inf
    return Optimum(
        coordinates=coordinates,
        evaluation=at,
        gradient_norm=float(np.sqrt(np.sum(at.gradient**2))) / n,
        expected_gain=gain,
        eigenvalues=values,
        iterations=iterations,
    )


def _first_better(
    objective: Objective, coordinates: FloatArray, at: Evaluation, step: FloatArray
) -> tuple[FloatArray, Evaluation] | None:
    """Halve the step until the value does not fall; None when rounding is all that is left."""
    for halving in range(30):
        trial = np.clip(coordinates + step * 0.5**halving, -_BOUND, _BOUND)
        there = objective(trial)
        if np.isfinite(there.value) and there.value > at.value:
            return trial, there
        same = abs(there.value - at.value) <= 1e-13 * abs(at.value)
        if same and np.sum(there.gradient**2) < 0.25 * np.sum(at.gradient**2):
            return trial, there
    return None


def best_of(candidates: Sequence[Optimum]) -> Optimum:
    """The highest; the first of equals."""
    return max(candidates, key=lambda optimum: optimum.value)
