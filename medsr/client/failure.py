"""What the service answers when it does not do what was asked."""

from __future__ import annotations

import httpx

__all__ = ["ServiceProblem", "checked"]


class ServiceProblem(Exception):
    """A problem that the service answered.

    Parameters
    ----------
    status : HTTP status. code : stable reason code, see docs/reason-codes.md. remedy : what to do about it.
    """

    def __init__(self, status: int, code: str, remedy: str) -> None:
        self.status, self.code, self.remedy = status, code, remedy
        super().__init__(f"{code} ({status}): {remedy}")


def checked(response: httpx.Response) -> httpx.Response:
    """The response, if it is a success.

    Raises
    ------
    ServiceProblem : otherwise.
    """
    if response.is_success:
        return response
    response.read()
    try:
        body = response.json()
        code, remedy = str(body["code"]), str(body["detail"])
    except (ValueError, KeyError, TypeError):
        code, remedy = "http.foreign", "the answer is not of medsr: check the URL and the proxies on the way"
    raise ServiceProblem(response.status_code, code, remedy)
