"""Readers of published data sets: sequences, annotations and the frames that are scored."""
