"""The result store: what the cells of an experiment leave behind, as Parquet files and a manifest."""
