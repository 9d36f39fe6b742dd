"""What runs in the marker and the worker: the only modules of the app that decode and compute."""
