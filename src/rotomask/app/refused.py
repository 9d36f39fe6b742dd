"""What the server refuses, as the page shows it."""

from rotomask.errors import RotomaskError


class RefusedError(RotomaskError):
    """A request that is refused: an HTTP status, a code for programs, two sentences for people."""

    def __init__(
        self, status: int, code: str, message: str, advice: str = "", **details: object
    ) -> None:
        """Keep what `body` gives; `details` are further fields beside the error."""
        super().__init__(message)
        self.status, self.code, self.advice, self.details = status, code, advice, details

    @property
    def body(self) -> dict[str, object]:
        """The answer's content."""
        error = {"code": self.code, "message": str(self), "advice": self.advice}
        return {"error": error, **self.details}


def not_found(what: str) -> RefusedError:
    """A refusal because something is not, or no longer, there."""
    return RefusedError(404, "not-found", f"There is no such {what}.", "It may have been deleted.")
