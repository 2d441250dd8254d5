"""What plays demand traces: the parameter that maps columns, the samples of a series, and programs that follow them."""
