"""Charts as inline SVG, drawn from stored results: they stand without a script and zoom with one."""
