"""Published incidents as experiments, and what their runs must show.

It must not know how a run is made: it stands on experiments and on what they leave.
"""
