"""The slice that resources are tried on."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from on_slice import OnSlice, on_slice
from running_lab import RunningLab

NAME = "s3"
_LEAVE = """
systemctl disable -q --now tfheal-notes-web.service trial.socket tfheal-firewall.service 2>/dev/null
rm -rf /etc/systemd/system/tfheal-* /run/systemd/system/trial* /etc/tfheal /var/lib/tfheal /opt/tfheal /srv/tfheal
rm -rf /srv/trial /root/trial
systemctl daemon-reload
systemctl reset-failed
nft flush ruleset
userdel tf-trial
exit 0
"""


@pytest.fixture(scope="module")
def machine(lab: RunningLab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OnSlice]:
    """Return one slice of the shared lab, and leave it as it was to whoever looks at it next."""
    control = Path(tmp_path_factory.mktemp("ssh")) / "control"
    address = lab.slices()[NAME]["address"]
    found = on_slice(address, lab.key, lab.known_hosts, NAME, control)
    yield found
    found.sh(_LEAVE)
    found.end()
