"""Optical flow: estimators, camera motion, .flo files and colour coding."""
