"""The whole comparison of one or more results: every score, what is told apart, the decisions that cost most, as files.

It must not know what screens and pages look like.
"""
