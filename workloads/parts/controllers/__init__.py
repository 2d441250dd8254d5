"""What controllers share: the beat of their looks, their devices, levels and times, and memory in whole devices."""
