"""Networks that run as fast as their masks allow: every masked layer in its fastest equal form.

:func:`raiw.compact` makes one; :mod:`raiw.compacting.speed` says what each form would cost.
"""

SECONDS = 0.2
"""Time spent on measuring a layer's forms."""

WORTH = 0.95
"""A form is chosen if it needs less than this share of the dense layer's time."""
