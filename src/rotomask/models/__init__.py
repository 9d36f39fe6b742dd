"""The methods: one a file, what they share in `layers`, their names in `catalog`."""
