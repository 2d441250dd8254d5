"""What exists: nodes, zones, memory blocks and memory groups with their counters. No time, no policy, no randomness."""
