"""Onlining policies: each chooses the zone that a memory block goes to when it is put online."""
