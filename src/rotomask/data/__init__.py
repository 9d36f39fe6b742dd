"""Data sets as users have them on disk, and the clips that networks are trained on."""
