"""Tables and figures of the papers, and experiments that did not pay. Not part of the wheel."""
