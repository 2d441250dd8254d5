"""What a run leaves behind: the recorder, events, series over time, the map of blocks, requests to shrink.

It must not know how any of it is judged, drawn or kept in files.
"""
