"""The heart as one moving dipole, and the twelve leads that it gives on the body: what a synthetic patient is made of.

Sources:
- McSharry, Clifford, Tarassenko, Smith: A dynamical model for generating synthetic electrocardiogram signals. IEEE Trans Biomed Eng
  2003;50:289-294. A beat is a sum of Gaussians over the phase of the beat; angles move with the square root of the heart rate.
- Sameni, Clifford, Jutten, Shamsollahi: Multichannel ECG and noise modeling: application to maternal and fetal ECG signals. EURASIP J Adv
  Signal Process 2007:043407. The same in three dimensions, with the parameters of a real vectorcardiogram.
- Dower, Machado, Osborne: On deriving the electrocardiogram from vectorcardiographic leads. Clin Cardiol 1980;3:87-95. Its coefficients.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Offsets from the R peak of the model below. The QRS does not change with the heart rate, so neither do they.
QRS_ONSET_S = -0.044
J_POINT_S = 0.048

MEASURED_LEADS = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")

_DOWER = np.array(  # (measured leads, xyz)
    [
        [0.632, -0.235, 0.059],
        [0.235, 1.066, -0.132],
        [-0.515, 0.157, -0.917],
        [0.044, 0.164, -1.387],
        [0.882, 0.098, -1.277],
        [1.213, 0.127, -0.601],
        [1.125, 0.127, -0.086],
        [0.831, 0.076, 0.230],
    ]
)

# (centre in rad from the R peak, amplitude in mV, width in rad) as published; x to the left, y to the feet, z to the back.
_PUBLISHED: tuple[tuple[tuple[float, float, float], ...], ...] = (
    (
        (-1.09, 0.03, 0.0906),
        (-0.83, 0.08, 0.1057),
        (-0.19, -0.13, 0.0453),
        (-0.07, 0.85, 0.0378),
        (0.0, 1.11, 0.0332),
        (0.06, 0.75, 0.0302),
        (0.22, 0.06, 0.0378),
        (1.2, 0.10, 0.6040),
        (1.42, 0.17, 0.3020),
        (1.68, 0.39, 0.1812),
        (2.9, 0.03, 0.5),
    ),
    (
        (-1.1, 0.035, 0.07),
        (-0.9, 0.015, 0.07),
        (-0.76, -0.019, 0.04),
        (-0.11, 0.32, 0.055),
        (-0.01, 0.51, 0.037),
        (0.065, -0.32, 0.0604),
        (0.8, 0.04, 0.450),
        (1.58, 0.08, 0.3),
        (2.9, 0.014, 0.5),
    ),
    (
        (-1.1, -0.03, 0.03),
        (-0.93, -0.14, 0.12),
        (-0.7, -0.035, 0.04),
        (-0.4, 0.045, 0.4),
        (-0.15, -0.4, 0.045),
        (0.095, 0.46, 0.05),
        (1.05, -0.12, 0.8),
        (1.25, -0.2, 0.4),
        (1.55, -0.35, 0.2),
        (2.8, -0.035, 0.4),
    ),
)

# The published subject has an ST segment that begins 0.15 mV up in V3, a T of 1.2 mV and a P of 0.05 mV in II: no rule would call that normal.
# So the waves that reach under the PR and ST segments are kept out of them, and P and T are brought to common sizes. The QRS is as published.
_P_ENDS_RAD, _QRS_BEGINS_RAD, _T_BEGINS_RAD = -0.5, -0.3, 0.5
_P_GAIN = (1.0, 2.5, 0.4)
_T_GAIN = (0.6, 1.0, 0.45)
_T_WIDEST_RAD = 0.3
_REFERENCE_RR_S = 1.0  # a phase of 2 pi lasts so long at the 60 /min for which the angles hold


@dataclass(frozen=True)
class _Wave:
    """One Gaussian of one axis, in time from the R peak at 60 /min."""

    axis: int
    centre_s: float
    amplitude_mv: float
    width_s: float
    stretches: bool  # with the square root of RR: P and T do, the QRS does not


def _waves() -> tuple[_Wave, ...]:
    waves = []
    second_a_rad = _REFERENCE_RR_S / (2 * np.pi)
    for axis, kernels in enumerate(_PUBLISHED):
        for centre, amplitude, width in kernels:
            if centre < _P_ENDS_RAD:
                waves.append(_Wave(axis, centre * second_a_rad, amplitude * _P_GAIN[axis], width * second_a_rad, stretches=True))
            elif centre >= _T_BEGINS_RAD:
                narrowed = min(width, _T_WIDEST_RAD) * second_a_rad
                waves.append(_Wave(axis, centre * second_a_rad, amplitude * _T_GAIN[axis], narrowed, stretches=True))
            elif centre >= _QRS_BEGINS_RAD:
                waves.append(_Wave(axis, centre * second_a_rad, amplitude, width * second_a_rad, stretches=False))
    return tuple(waves)


_WAVES = _waves()


def dipole_of_beat(from_r_s: Floats, *, rr_s: float) -> Floats:
    """Return the dipole (xyz, samples) in mV of one beat at the given times from its R peak; rr_s is the RR interval that the beat belongs to."""
    dipole = np.zeros((3, from_r_s.size))
    stretch = float(np.sqrt(rr_s / _REFERENCE_RR_S))
    for wave in _WAVES:
        by = stretch if wave.stretches else 1.0
        dipole[wave.axis] += wave.amplitude_mv * np.exp(-0.5 * ((from_r_s - wave.centre_s * by) / (wave.width_s * by)) ** 2)
    return dipole


def measured_leads(dipole_mv: Floats) -> Floats:
    """Return the eight leads that a cart measures, (MEASURED_LEADS, samples) in mV, of a dipole (xyz, samples)."""
    projected: Floats = _DOWER @ dipole_mv
    return projected
