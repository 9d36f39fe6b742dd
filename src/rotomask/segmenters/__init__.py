"""Segmenters: what lives through one video, one file a kind of network, and wrappers of them."""
