"""The dead-man ping reaches a real server, by an address that is shown nowhere."""

from pathlib import Path

import pytest
from switch import a_switch

from tfheal.base.errors import ActionFailed
from tfheal.base.secret import Secret
from tfheal.edge.ping import DeadManPing
from tfheal.edge.vault import AgeVault
from tfheal.model.workspace import PING_SECRET, PingRoute


@pytest.fixture
def vault(tmp_path: Path) -> AgeVault:
    """Return the vault of a new workspace."""
    return AgeVault(tmp_path / "workspace", tmp_path / "age.key")


def test_each_signal_has_its_address(vault: AgeVault) -> None:
    """Start, success, fail and log, with the summary as the body; what follows a question mark stays behind."""
    with a_switch() as (url, heard):
        for ending in ("", "/", "?create=1"):
            pinger = DeadManPing(PingRoute(url=url + ending), vault)
            for signal in ("start", "success", "fail", "log"):
                pinger.ping(signal, f"{signal}: größer\x1b[31m")  # type: ignore[arg-type]
    bodies = [f"{word}: größer\\x1b[31m" for word in ("start", "success", "fail", "log")]
    assert heard[:8] == list(zip(["/start", "", "/fail", "/log"], bodies, strict=True)) * 2
    assert [path for path, _ in heard[8:]] == ["/start?create=1", "?create=1", "/fail?create=1", "/log?create=1"]


def test_its_address_may_be_a_secret(vault: AgeVault, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the environment or from the vault; where there is none, that is told and nothing is sent."""
    by_name, by_vault = DeadManPing(PingRoute(env="SWITCH"), vault), DeadManPing(PingRoute(secret=True), vault)
    for pinger in (by_name, by_vault):
        with pytest.raises(ActionFailed, match="no address"):
            pinger.ping("success", "")
    with a_switch() as (url, heard):
        monkeypatch.setenv("SWITCH", url)
        vault.put(*PING_SECRET, Secret(url))
        by_name.ping("success", "by name")
        by_vault.ping("success", "by vault")
        DeadManPing(None, vault).ping("success", "nobody")
    assert [body for _, body in heard] == ["by name", "by vault"]


def test_an_address_is_never_shown(vault: AgeVault) -> None:
    """A switch that answers no, is not there, or has no valid address is told by its host alone."""
    with a_switch(404) as (url, _):
        for address in (url, "http://127.0.0.1:1/T0KEN", "http://[::1/T0KEN"):
            with pytest.raises(ActionFailed, match="did not get out") as caught:
                DeadManPing(PingRoute(url=address), vault).ping("fail", "")
            assert "T0KEN" not in f"{caught.value} {caught.value.args} {caught.value.__cause__}"


def test_there_is_one_source() -> None:
    """Two addresses, or none, are a mistake."""
    for fields in ({}, {"url": "http://a/", "env": "A"}, {"env": "A", "secret": True}):
        with pytest.raises(ValueError, match="one of url, env and secret"):
            PingRoute.model_validate(fields)
