"""Spans over the wire: both protocols, the arguments, and every variable of the environment."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import requests

from .receiver import Receiver, grpc_receiver, http_receiver, program, silent_receiver

RUN = """
tracing = configure(**arguments)
step()
assert tracing.force_flush()
tell([name for name in ("grpc", "requests") if name in sys.modules])
"""
Receiving = Callable[[], AbstractContextManager[Receiver]]


@pytest.mark.parametrize(
    ("receiving", "protocol"), [(http_receiver, "http/protobuf"), (grpc_receiver, "grpc")]
)
def test_spans_arrive_with_what_the_arguments_say(receiving: Receiving, protocol: str) -> None:
    """This is what configure is for: a span on the wire, named, described and authorised."""
    with receiving() as receiver:
        program(
            RUN,
            service_name="shop",
            endpoint=receiver.endpoint,
            protocol=protocol,
            headers={"X-Api-Key": "secret"},
            resource_attributes={"team": "search"},
        )
    assert receiver.names == ["invoke_workflow step"]
    assert receiver.resource["service.name"] == "shop"
    assert receiver.resource["team"] == "search"
    assert receiver.requests[0].headers["x-api-key"] == "secret"


@pytest.mark.parametrize(
    ("receiving", "env"),
    [
        (http_receiver, {}),
        (grpc_receiver, {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}),
        (
            grpc_receiver,
            {
                "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
                "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc",
            },
        ),
    ],
)
def test_the_environment_alone_is_enough(receiving: Receiving, env: dict[str, str]) -> None:
    """Deployments are configured by their environment, without touching the code."""
    with receiving() as receiver:
        program(
            RUN,
            {
                **env,
                "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint,
                "OTEL_EXPORTER_OTLP_HEADERS": "x-api-key=from%20env",
                "OTEL_SERVICE_NAME": "shop",
                "OTEL_RESOURCE_ATTRIBUTES": "team=search,service.name=overruled",
            },
        )
    assert receiver.names == ["invoke_workflow step"]
    assert receiver.resource["service.name"] == "shop"
    assert receiver.resource["team"] == "search"
    assert receiver.requests[0].headers["x-api-key"] == "from env"


@pytest.mark.parametrize(
    ("receiving", "protocol"), [(http_receiver, "http/protobuf"), (grpc_receiver, "grpc")]
)
def test_arguments_win_over_the_environment(receiving: Receiving, protocol: str) -> None:
    """What the code says is meant for this program; the environment is the machine's."""
    other = "grpc" if protocol == "http/protobuf" else "http/protobuf"
    with receiving() as receiver:
        program(
            RUN.replace(
                "configure(",
                "configure(sampler=__import__('opentelemetry.sdk.trace.sampling')"
                ".sdk.trace.sampling.ALWAYS_ON, ",
            ),
            {
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:9/nowhere",
                "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": other,
                "OTEL_EXPORTER_OTLP_TRACES_HEADERS": "x-api-key=theirs,x-tenant=both",
                "OTEL_SERVICE_NAME": "theirs",
                "OTEL_RESOURCE_ATTRIBUTES": "team=theirs,region=both",
                "OTEL_TRACES_SAMPLER": "always_off",
                "OTEL_TRACES_EXPORTER": "none",
            },
            service_name="ours",
            endpoint=receiver.endpoint,
            protocol=protocol,
            headers={"X-API-Key": "ours"},
            resource_attributes={"team": "ours"},
        )
    assert receiver.names == ["invoke_workflow step"]
    headers, resource = receiver.requests[0].headers, receiver.resource
    assert (headers["x-api-key"], headers["x-tenant"]) == ("ours", "both")
    assert (resource["service.name"], resource["team"]) == ("ours", "ours")
    assert resource["region"] == "both"


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ("", "/v1/traces"),
        ("/", "/v1/traces"),
        ("/api/public/otel", "/api/public/otel/v1/traces"),
        ("/v1/traces", "/v1/traces"),
        ("/otel/?project=a", "/otel/v1/traces?project=a"),
    ],
)
def test_an_http_endpoint_is_a_base(given: str, path: str) -> None:
    """Backends document a base URL, some the full one: either has to work as it is pasted."""
    with http_receiver() as receiver:
        program(RUN, endpoint=receiver.endpoint + given)
    assert [request.path for request in receiver.requests] == [path]


def test_the_variable_for_traces_is_no_base() -> None:
    """OpenTelemetry defines it as the full URL, so that nothing may be added."""
    with http_receiver() as receiver:
        program(RUN, {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": receiver.endpoint + "/custom"})
    assert [request.path for request in receiver.requests] == ["/custom"]


@pytest.mark.parametrize(
    ("arguments", "env", "imported"),
    [
        ({"endpoint": "http://127.0.0.1:4317"}, {}, ["grpc"]),
        ({}, {"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4317"}, ["grpc"]),
        ({"endpoint": "http://127.0.0.1:4318"}, {}, ["requests"]),
        ({"endpoint": "http://127.0.0.1:4317", "protocol": "http/protobuf"}, {}, ["requests"]),
        (
            {"endpoint": "http://127.0.0.1:4317"},
            {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"},
            ["requests"],
        ),
        ({}, {}, ["requests"]),
    ],
)
def test_port_4317_means_grpc_unless_a_protocol_is_said(
    arguments: dict[str, str], env: dict[str, str], imported: list[str]
) -> None:
    """4317 is gRPC's port: HTTP sent there fails obscurely; what is not used is not imported."""
    assert program(RUN.replace("step()\n", ""), env, **arguments).told == imported


@pytest.mark.parametrize(
    ("env", "encoding"),
    [
        ({}, "gzip"),
        ({"OTEL_EXPORTER_OTLP_COMPRESSION": "none"}, None),
        ({"OTEL_EXPORTER_OTLP_TRACES_COMPRESSION": "gzip"}, "gzip"),
    ],
)
def test_requests_are_compressed(env: dict[str, str], encoding: str | None) -> None:
    """Prompts compress ten to one, and the SDK's own default is not to."""
    with http_receiver() as receiver:
        program(RUN, env, endpoint=receiver.endpoint)
    assert receiver.requests[0].headers.get("content-encoding") == encoding


def test_grpc_takes_compression_none() -> None:
    """The SDK's gRPC exporter raises on this value, although OpenTelemetry defines it."""
    with grpc_receiver() as receiver:
        env = {"OTEL_EXPORTER_OTLP_COMPRESSION": "none"}
        program(RUN, env, endpoint=receiver.endpoint, protocol="grpc")
    assert receiver.names == ["invoke_workflow step"]


def test_http_means_no_tls_whatever_the_environment_says() -> None:
    """OTEL_EXPORTER_OTLP_INSECURE is for endpoints without a scheme; the SDK asks it first."""
    with grpc_receiver() as receiver:
        env = {"OTEL_EXPORTER_OTLP_INSECURE": "false"}
        program(RUN, env, endpoint=receiver.endpoint, protocol="grpc")
    assert receiver.names == ["invoke_workflow step"]


@pytest.mark.parametrize(
    ("receiving", "protocol"), [(http_receiver, "http/protobuf"), (grpc_receiver, "grpc")]
)
def test_a_private_certificate_is_trusted(
    receiving: Callable[..., AbstractContextManager[Receiver]], protocol: str, tmp_path: Path
) -> None:
    """Requests prefers REQUESTS_CA_BUNDLE, which companies set, to the variable for this."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs openssl to make a certificate")
    made = tmp_path / "receiver.pem"
    subprocess.run(
        f"{openssl} req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=test "
        f"-addext subjectAltName=IP:127.0.0.1 -keyout receiver.pem -out ca.pem".split(),
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    made.write_bytes(made.read_bytes() + (tmp_path / "ca.pem").read_bytes())
    with receiving(tls=made) as receiver:
        env = {
            "OTEL_EXPORTER_OTLP_CERTIFICATE": str(tmp_path / "ca.pem"),
            "REQUESTS_CA_BUNDLE": requests.certs.where(),
        }
        program(RUN, env, endpoint=receiver.endpoint, protocol=protocol)
    assert receiver.names == ["invoke_workflow step"]


def test_the_environment_sets_how_long_a_request_may_take() -> None:
    """A span that is given up makes room for others."""
    with silent_receiver() as endpoint:
        told = program(
            """
            tracing = configure(**arguments)
            step()
            tell([tracing.force_flush(), tracing.stats().failed])
            """,
            {"OTEL_EXPORTER_OTLP_TIMEOUT": "0.1"},
            endpoint=endpoint,
        ).told
    assert told == [False, 1]


@pytest.mark.parametrize(
    ("env", "names"),
    [
        ({"OTEL_TRACES_SAMPLER": "always_off"}, []),
        ({"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0"}, []),
        ({"OTEL_TRACES_EXPORTER": "none"}, []),
        ({"OTEL_TRACES_EXPORTER": "console"}, []),
        ({"OTEL_TRACES_EXPORTER": "otlp,console"}, ["invoke_workflow step"]),
        ({"OTEL_SDK_DISABLED": "true"}, []),
    ],
)
def test_the_environment_says_what_is_sent(env: dict[str, str], names: list[str]) -> None:
    """Operators switch tracing off or down without a release."""
    with http_receiver() as receiver:
        env = {**env, "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint}
        shown = program(RUN, env).stdout
    assert receiver.names == names
    assert ("invoke_workflow step" in shown) is ("console" in env.get("OTEL_TRACES_EXPORTER", ""))


def test_the_environment_sets_batches_and_limits() -> None:
    """The batch processor and the span limits are the SDK's, and so are their variables."""
    with http_receiver() as receiver:
        program(
            """
            tracing = configure()
            with tracing.tracer_provider.get_tracer("t").start_as_current_span("own") as span:
                span.set_attributes({"a": 1, "b": 2, "c": 3})
                step()
            assert tracing.force_flush()
            """,
            {
                "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint,
                "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "1",
                "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "2",
            },
        )
    assert len(receiver.requests) == 2
    assert {len(span.attributes) for span in receiver.spans} == {2}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd"),
        ("OTEL_TRACES_EXPORTER", "zipkin"),
        ("OTEL_TRACES_SAMPLER", "sometimes"),
    ],
)
def test_an_unknown_word_in_the_environment_is_warned_of(name: str, value: str) -> None:
    """OpenTelemetry asks for a warning and the default: a typing error must not stop a service."""
    with http_receiver() as receiver:
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint, name: value}
        stderr = program(RUN, env).stderr
    assert receiver.names == ["invoke_workflow step"]
    assert value in stderr


@pytest.mark.parametrize(
    "env",
    [
        {"OTEL_BSP_MAX_QUEUE_SIZE": "10"},  # less than a batch
        {"OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "many"},
    ],
)
def test_numbers_that_contradict_each_other_are_an_error(env: dict[str, str]) -> None:
    """The SDK raises a bare ValueError here, which names no variable."""
    told = program(
        """
        from opentelemetry.trace import ProxyTracerProvider, get_tracer_provider
        try:
            configure()
        except ConfigurationError as error:
            tell([str(error), isinstance(get_tracer_provider(), ProxyTracerProvider)])
        """,
        env,
    ).told
    assert "OTEL_" in told[0]
    assert told[1], "nothing may have been changed"
