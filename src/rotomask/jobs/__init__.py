"""What a user asks for: a video in, a folder out."""
