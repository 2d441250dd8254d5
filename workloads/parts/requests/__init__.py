"""Requests of a host: a row of a log, its columns and words, and how logs are read, written and recorded."""
