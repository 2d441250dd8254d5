"""What a run is worth: every score once, with its unit, formula and source.

It must not know how scores are compared, drawn or kept.
"""
