"""Confidence sequences by mixtures: intervals for a mean that hold at all times at once, however often one looks.

Sources: H. Robbins, Statistical methods related to the law of the iterated logarithm (1970); S. Howard, A. Ramdas,
J. McAuliffe, J. Sekhon, Time-uniform, nonparametric, nonasymptotic confidence sequences (Annals of Statistics, 2021);
I. Waudby-Smith, D. Arbour, R. Sinha, E. Kennedy, A. Ramdas, Time-uniform central limit theory and asymptotic confidence
sequences (Annals of Statistics, 2024).
"""

import math


def tuned_rho(n: float, error_rate: float) -> float:
    """The scale of the mixture that makes the interval narrowest at about `n` events (Waudby-Smith et al., appendix B).

    >>> round(tuned_rho(500, 0.05), 6)
    0.125985
    """
    doubled = -2 * math.log(error_rate)
    return math.sqrt((doubled + math.log(doubled + 1)) / n)


def mixture_width(n: float, error_rate: float, rho: float) -> float:
    """Half the width of the normal mixture's two-sided confidence sequence, in standard deviations of one event.

    `mean ± mixture_width(n, …) · deviation` holds for all n at once with probability 1 − `error_rate`:

    - exactly where the events are Gaussian, or sub-Gaussian with that deviation (Robbins; Howard et al., section 3.2);
    - asymptotically, from the first look on, for the sample's own deviation and any distribution with more than two
      moments (Waudby-Smith et al., theorem 2.2).

    Args:
        n: events that are independent of each other, or what dependent ones are worth.
        error_rate: between 0 and 1.
        rho: the mixture's scale, above 0; fixed before the first look.

    >>> round(mixture_width(500, 0.05, tuned_rho(500, 0.05)), 4)
    0.1357
    """
    grown = n * rho * rho
    return math.sqrt((grown + 1) / (n * grown) * (2 * math.log(1 / error_rate) + math.log1p(grown)))


def bounded_deviation(low: float, high: float) -> float:
    """The deviation with which any value within bounds is sub-Gaussian (Hoeffding, 1963): half their distance.

    With it `mixture_width` holds exactly, for every n, at the price of width where values lie close together.
    """
    return (high - low) / 2
