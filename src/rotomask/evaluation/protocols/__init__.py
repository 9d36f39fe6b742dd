"""How each benchmark applies the measures: one file a benchmark."""
