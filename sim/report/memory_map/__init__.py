"""The map of all memory blocks through time, with the decision that put each where it is."""
