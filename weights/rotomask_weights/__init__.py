"""Weights of rotomask's methods of the papers; `rotomask.catalog` finds them here."""
