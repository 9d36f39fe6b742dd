"""Motion: optical flow, what of it is the camera's, and pictures of it."""
