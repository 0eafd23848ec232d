"""The HTTP session of the OTLP exporter, without two habits that lose spans."""

from __future__ import annotations

from typing import Any

import requests
from requests.exceptions import TooManyRedirects


class StrictSession(requests.Session):
    """A session in which a redirect is an error, and a certificate that is set is used.

    The exporter takes a redirect for a success, or follows it without the spans. Requests puts
    REQUESTS_CA_BUNDLE above the session's own certificate, OTEL_EXPORTER_OTLP_CERTIFICATE.
    """

    def __init__(self) -> None:
        super().__init__()
        self.hooks["response"] = [_refuse_redirect]

    def merge_environment_settings(
        self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any
    ) -> Any:
        """Return the settings of a request, with the session's own certificate first."""
        own = self.verify if verify is None else verify
        return super().merge_environment_settings(url, proxies, stream, own, cert)


def _refuse_redirect(response: requests.Response, **_options: Any) -> None:
    if 300 <= response.status_code < 400:
        raise TooManyRedirects(
            f"{response.status_code}, redirected to {response.headers.get('location')}: "
            "give the address that answers itself"
        )
