"""A certificate authority for one test, and TLS in front of a server that speaks plainly, as a load balancer does."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Key = ec.EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """PEM files: the authority, a server's certificate with its key, a client's certificate and its key."""

    ca: Path
    server: Path
    client: Path
    client_key: Path


def authority(folder: Path, name: str) -> Authority:
    """Everything new; the server's certificate is for `name` alone."""
    key, issuer = _key(), _name("ca")
    root = _signed(issuer, key, issuer, key, None)
    own, other = _key(), _key()
    server, client = _signed(_name(name), own, issuer, key, name), _signed(_name("client"), other, issuer, key, None)
    parts = {
        "ca.pem": _pem(root),
        "server.pem": _pem(server) + _pem_key(own),
        "client.pem": _pem(client),
        "client.key": _pem_key(other),
    }
    for file, data in parts.items():
        (folder / file).write_bytes(data)
    ca, serving, showing, its_key = (folder / file for file in parts)
    return Authority(ca=ca, server=serving, client=showing, client_key=its_key)


def _key() -> Key:
    return ec.generate_private_key(ec.SECP256R1())


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _signed(subject: x509.Name, key: Key, issuer: x509.Name, signer: Key, host: str | None) -> x509.Certificate:
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=subject == issuer, path_length=None), critical=True)
    )
    if host is not None:
        built = built.add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
    return built.sign(signer, hashes.SHA256())


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _pem_key(key: Key) -> bytes:
    pkcs8 = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, pkcs8, serialization.NoEncryption())


@asynccontextmanager
async def tls(port: int, made: Authority, *, anybody: bool = False) -> AsyncGenerator[int, None]:
    """The port on 127.0.0.1 behind which `port` is reached by anybody, or by who shows the client's certificate."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(made.ca))
    context.load_cert_chain(made.server)
    context.verify_mode = ssl.CERT_NONE if anybody else ssl.CERT_REQUIRED
    context.set_alpn_protocols(["h2", "http/1.1"])
    relays: set[asyncio.Task[None]] = set()

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        relays.add(task)
        try:
            server_reader, server_writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                await asyncio.gather(_pump(reader, server_writer), _pump(server_reader, writer))
            finally:
                server_writer.close()
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            relays.discard(task)
            writer.close()

    # Not anyio's listener: cancelled in the moment in which a connection comes, it ends with an error of asyncio.
    listening = await asyncio.start_server(forward, "127.0.0.1", 0, ssl=context)
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        listening.close()
        for task in relays:
            task.cancel()
        await asyncio.gather(*relays, return_exceptions=True)


async def _pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    """All that comes, until one of the two ends."""
    try:
        while data := await source.read(2**16):
            target.write(data)
            await target.drain()
    except OSError:
        pass
    finally:
        target.close()
