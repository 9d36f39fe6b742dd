"""Training data in the layouts that people have: stills, clips, scenes."""
