"""The same app, kept up by others: systemd alone, and Monit, each on a slice that tfheal deployed to and then left alone.

All are given what they can be given. systemd has `Restart=always` after a second, and its own default limit (5 starts in
10 s). Monit looks every 10 s, as often as our heal loop; it starts and restarts the service when its process is not
there or its port does not answer HTTP, enables it, frees a full disk by `apt-get clean`, and puts back what was deployed
(configuration, release, unit file) from a copy that was kept for it, when a file, a mode or an owner changed. Debian runs
Monit where it may write nowhere; what it puts back, systemd does for it.
"""

from dataclasses import dataclass
from typing import Final

from book import OURS
from running_lab import RunningLab

SYSTEMD: Final = "systemd"
MONIT: Final = "Monit"
_DROP_IN: Final = """\
mkdir -p /etc/systemd/system/$unit.d
printf '[Service]\\nRestart=always\\nRestartSec=1\\n[Unit]\\nStartLimitIntervalSec=10\\nStartLimitBurst=5\\n' \\
    >/etc/systemd/system/$unit.d/restart.conf
systemctl daemon-reload
"""
# What is kept for Monit, and how it puts it back; it knows no release, no configuration and no unit by itself.
_KEPT: Final = """\
export DEBIAN_FRONTEND=noninteractive
apt-get -qq update && apt-get -qq install -y --no-install-recommends monit >/dev/null
systemctl stop monit
rm -rf /var/kept && mkdir -p /var/kept && cp -a $home /etc/systemd/system/$unit /var/kept/
cat >/usr/local/sbin/put-back <<END
#!/bin/sh
# Brings back what was deployed, and starts it.
systemctl stop $unit
cp -a --remove-destination /var/kept/web/. $home/
cp -a --remove-destination /var/kept/$unit /etc/systemd/system/$unit
systemctl daemon-reload
systemctl reset-failed $unit
systemctl enable --quiet $unit
systemctl start $unit
END
cat >/usr/local/sbin/as-kept <<END
#!/bin/sh
# Whether configuration, release and unit file are as they were kept.
diff -rq /var/kept/web/config $home/config && cmp /var/kept/$unit /etc/systemd/system/$unit &&
    diff -rqx __pycache__ /var/kept/web/releases $home/releases && [ -d $home/current/ ] && systemctl is-enabled --quiet $unit &&
    [ "\\$(stat -c '%a %U %G' $home/config $home/config/*)" = "$(stat -c '%a %U %G' $home/config $home/config/*)" ]
END
chmod 755 /usr/local/sbin/put-back /usr/local/sbin/as-kept
sed -i 's/^ *set daemon .*/set daemon 10/' /etc/monit/monitrc
cat >/etc/monit/conf.d/web <<END
check program deployed with path /usr/local/sbin/as-kept
    if status != 0 then exec "/usr/bin/systemd-run --collect --unit=put-back /usr/local/sbin/put-back"
        repeat every 1 cycles
check process web matching "bin/python -P -m copyparty"
    start program = "/usr/bin/systemctl start $unit" with timeout 10 seconds
    stop program = "/usr/bin/systemctl stop $unit" with timeout 10 seconds
    restart program = "/usr/bin/systemctl restart $unit" with timeout 10 seconds
    if failed port 3923 protocol http with timeout 5 seconds for 2 cycles then restart
check filesystem disk with path /
    if space usage > 95% then exec "/usr/bin/systemd-run --collect /usr/bin/apt-get clean" repeat every 1 cycles
    if inode usage > 95% then exec "/usr/bin/systemd-run --collect /usr/bin/apt-get clean" repeat every 1 cycles
END
monit -t && systemctl enable --quiet monit && systemctl restart monit
sleep 1
systemctl is-active --quiet monit || { journalctl -u monit -n 10; cat /var/log/monit.log; exit 1; }
"""


@dataclass(frozen=True, slots=True)
class Contender:
    """Who keeps which app up on which slice, and how that is arranged there, as sh, once it is deployed."""

    name: str
    app: str
    slice: str
    arranged: str = ""

    def arrange(self, lab: RunningLab) -> None:
        """Put its configuration on the slice."""
        given = f"unit=tfheal-{self.app}-web.service home=/opt/tfheal/{self.app}/web\nset -e\n"
        if self.arranged:
            lab.on(self.slice, given + self.arranged)

    def spec(self, shipped: str) -> str:
        """Given the example's app spec, return this one's: of those that are not ours, tfheal's reflex is off."""
        own = shipped.replace("app: files", f"app: {self.app}").replace("[s1]", f"[{self.slice}]")
        return own if self.name == OURS else f"{own}heal: {{reflex: off}}\n"


CONTENDERS: Final = (
    Contender(OURS, "files", "s1"),
    Contender(SYSTEMD, "restarted", "s2", _DROP_IN),
    Contender(MONIT, "monitored", "s3", _KEPT),
)
