"""The verbs of a listening test: served, linked, looked at, exported, withdrawn from."""

import re
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import polars as pl
import pytest
from tests.listeners import small

from sibboleth import predictions
from sibboleth.errors import InvalidInput, SibbolethError
from sibboleth.recipes import listen_answers, listen_serve

HOST = b"Host: localhost\r\nOrigin: http://localhost\r\nConnection: close\r\n"
KIND = b"Content-Type: application/json\r\n"
MALFORMED = (
    b"nonsense\r\n\r\n",
    b"GET /t/../../test.json HTTP/1.1\r\n" + HOST + b"\r\n",
    b"GET /web/../server.py HTTP/1.1\r\n" + HOST + b"\r\n",
    b"GET /web/%2e%2e/server.py HTTP/1.1\r\n" + HOST + b"\r\n",
    b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
    b"POST /t/x/answer HTTP/1.1\r\n" + HOST + KIND + b"Content-Length: -5\r\n\r\n",
    b"POST /t/x/answer HTTP/1.1\r\n" + HOST + KIND + b"Content-Length: 9999999999\r\n\r\n{}",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return small.write(tmp_path / "test", small.drawn())


def test_a_test_is_served_until_ctrl_c_and_only_once(folder: Path, interruptible: None) -> None:
    command = [sys.executable, "-m", "sibboleth", "listen", "serve", str(folder), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = [process.stdout.readline() for _ in range(3)]
        address = re.search(r"listeners: (\S+)", told[0])
        assert address is not None and re.search(r"admin: +\S+/admin .*password \S{20,}", told[1])
        with urllib.request.urlopen(address[1].replace("localhost", "127.0.0.1"), timeout=20) as page:
            assert "A small test" in page.read().decode()
        port = int(address[1].rstrip("/").rsplit(":", 1)[1])
        for sent in MALFORMED:  # which no client library would send
            with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
                connection.sendall(sent)
                assert connection.recv(1000).split()[1] in (b"400", b"404", b"413"), sent
        with pytest.raises(SibbolethError, match="being served already"):
            listen_serve.listen_serve(folder, port=0)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
        assert "Traceback" not in (process.stderr.read() if process.stderr else "")


def test_a_port_that_is_taken_is_told(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SibbolethError, match=f"port {port}"):
            listen_serve.listen_serve(folder, port=port)


def test_links_status_export_and_withdrawal(folder: Path, tmp_path: Path) -> None:
    made = str(listen_answers.links(folder, number=3, base="https://listen.example.org/")).split("\n")
    assert len(set(made)) == 3
    assert all(re.fullmatch(r"https://listen\.example\.org/t/[\w-]{32}", one) for one in made)
    assert dict(listen_answers.status(folder).overview.counts)["invited, not here yet"] == "3"
    exported = listen_answers.write(folder, output=tmp_path / "tables")
    assert [path.name for path in exported.written] == ["predictions.csv", "listeners.csv", "answers.csv"]
    assert predictions.read(exported.written[0]).is_empty()
    for name in ("L0001", made[1]):
        assert "everything was deleted" in str(listen_answers.withdraw(folder, name))
    listen_answers.write(folder, output=tmp_path / "tables")
    assert pl.read_csv(exported.written[1])["status"].to_list() == ["withdrawn", "withdrawn"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda folder: listen_answers.links(folder, number=0), "number"),
        (lambda folder: listen_answers.links(folder, base="example.org"), "base"),
        (lambda folder: listen_answers.links(folder.parent), "listen design"),
        (lambda folder: listen_answers.status(folder), "nobody has begun"),
        (lambda folder: listen_answers.write(folder), "nobody has begun"),
        (lambda folder: listen_serve.listen_serve(folder.parent), "listen design"),
    ],
)
def test_wrong_use_is_told(folder: Path, wrong: object, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        wrong(folder)  # type: ignore[operator]


def test_nobody_by_that_name_withdraws(folder: Path) -> None:
    listen_answers.links(folder)
    with pytest.raises(InvalidInput, match="L0009"):
        listen_answers.withdraw(folder, "L0009")


def test_a_damaged_file_of_answers_is_told_by_every_verb(folder: Path) -> None:
    listen_answers.links(folder, number=50)
    path = folder / "answers.sqlite"
    whole = path.read_bytes()
    path.write_bytes(whole[:8192] + b"\xff" * (len(whole) - 8192))  # its head and schema stay
    for verb in (listen_answers.links, listen_answers.status, listen_answers.write, listen_serve.listen_serve):
        with pytest.raises(SibbolethError, match="damaged.*recover"):
            verb(folder)
    with pytest.raises(SibbolethError, match="damaged.*recover"):
        listen_answers.withdraw(folder, "L0001")
    assert not (folder / "export").exists()
