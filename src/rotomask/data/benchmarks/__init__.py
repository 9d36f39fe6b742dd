"""Data sets as they are published: sequences, annotations and the frames that are scored."""
