"""Edge detection: object edges by a network, motion edges from optical flow, and thinning."""
