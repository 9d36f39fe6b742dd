"""Release scripts. Not part of the wheel."""
