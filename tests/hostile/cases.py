"""The corpus: what a slice may do to whoever asks it. A case is a few lines of sh that run on the slice itself."""

from dataclasses import dataclass
from typing import Final

HONEST: Final = 'exec sh -c "$SSH_ORIGINAL_COMMAND"'
_OPEN: Final = "/opt/tfheal/evil/web/config/open.conf"
_SECRET: Final = "$(sed 's/password = //' /opt/tfheal/evil/web/config/secret.conf) $(cat /front/gone)"  # noqa: S105 (where it is, not what)
_STATE: Final = "/var/lib/tfheal/evil/web"
_IDENTITY: Final = "/var/lib/tfheal/identity"
# For one who reads what the provider asks, and answers something else.
_READ: Final = """\
asked=/front/asked.$$; cat >$asked
marker=$(sed -n 's/^marker=//p' $asked | head -n 1)
count=$(grep -cE '^ask [0-9]+ [0-9.]+ [0-9]+ ' $asked); [ $count -gt 0 ] || count=1
each() { for i in $(seq 0 $((count - 1))); do printf "%s %s $1\\n" $marker $i; done; echo "$marker end"; }
"""
# For one who answers every question, and does something else when told to act.
_ACTED: Final = """\
asked=/front/asked.$$; sed -u "/^_tfheal_[0-9a-f]*$/q" >$asked
marker=$(sed -n 's/^marker=//p' $asked | head -n 1)
grep -q '^throb() {' $asked || exec sh -c "$SSH_ORIGINAL_COMMAND" <$asked
"""
# For one who answers what was asked, and spoils it on its way.
_SPOIL: Final = 'sh -c "$SSH_ORIGINAL_COMMAND" | perl /front/poison.pl'
_POISON: Final = r"printf '\033[2J\033]0;owned\007\342\200\256\302\233\000\377'"
_DIGITS: Final = "$(head -c 100000 /dev/zero | tr '\\0' 9)"
# It acts for ever, and says so. The act of another slice in the same run is an honest one.
TRICKLES: Final = _ACTED + "while :; do echo .; sleep 0.05; done"
DRIFTS: Final = f"rm {_OPEN}"
IS_HEALED: Final = f"[ -f {_OPEN} ]"
MEND: Final = f"""\
for it in /proc/[0-9]*; do kill -CONT ${{it#/proc/}}; done 2>/dev/null
rm -rf /front/says /front/asked.* /usr/local/sbin/* /root/.ssh/rc /run/systemd/system/front-*
rm -rf {_OPEN}
umount -l /tmp; true
[ ! -e /front/pam ] || mv /front/pam /etc/pam.d/sshd
for kept in state identity; do
  case $kept in state) place={_STATE}/state;; *) place={_IDENTITY};; esac
  [ ! -e /front/$kept ] || {{ rm -rf $place; mv /front/$kept $place; }}
done
hostname $(cat /etc/hostname)
systemctl stop front-silent.service front-failed.service; systemctl reset-failed
pkill -f 'sleep 9876'; pkill -x yes; pkill -x cat
printf 'title = evil\\n' >{_OPEN}
systemctl start ssh
"""


@dataclass(frozen=True, slots=True)
class Case:
    """One hostility: what is done to the slice, what talks instead of its shell, and whether any of it is believed."""

    name: str
    front: str = HONEST
    before: str = ""
    reachable: bool | None = False  # as status has it; None: either is right
    seconds: float = 0.0  # that it may cost a heal on top of a round
    after: str = "true"  # what holds on the slice when all is over


CASES: Final = (
    # -- it does not speak, or does not end
    Case(
        "a banner that never comes",
        before="systemctl stop ssh.socket ssh; mkdir -p /run/sshd; systemd-run -q --unit front-silent systemd-socket-activate -a --inetd -l 22 sleep 9876",
    ),
    Case(
        "a hang after the login",
        before="cp /etc/pam.d/sshd /front/pam; sed -i '1i session required pam_exec.so quiet /bin/sleep 9876' /etc/pam.d/sshd",
    ),
    Case("a hang after the channel opened", "exec sleep 9876"),
    Case(
        "a frozen machine",
        before="for it in /proc/[0-9]*; do grep -q front-door $it/cgroup || kill -STOP ${it#/proc/}; done; true",
    ),
    Case("a trickle", "while :; do echo .; sleep 0.05; done"),
    Case("no output", "cat >/dev/null"),
    Case("hangs up at once", "kill -9 $PPID"),
    # -- it does not stop speaking
    Case("endless output", "yes"),
    Case("endless stderr", "yes >&2"),
    Case("100 MB on stderr", f"head -c 104857600 /dev/zero >&2; {HONEST}", reachable=None),
    Case("empty lines without end", "cat >/dev/null; head -c 5000000 /dev/zero | tr '\\0' '\\n'"),
    Case("lines of two bytes", "cat >/dev/null; yes a | head -c 5000000"),
    Case("a million frames", _READ + 'yes "$marker 0 skipped" | head -n 1000000'),
    Case("a million different frames", _READ + 'seq -f "$marker %.0f skipped" 0 999999'),
    Case("a frame without end", _READ + 'printf "%s 0 " $marker; head -c 9000000 /dev/zero | base64 -w 0'),
    # -- it lies about the frames
    Case("frames without the marker", _READ + "marker=0123456789abcdef0123456789abcdef; each ' 0 10.00 10.50'"),
    Case("answers to what was not asked", _READ + "count=$((count + 5)); each ' 0 10.00 10.50'"),
    Case("what we sent comes back", "exec cat"),
    Case("nothing but an end", _READ + 'echo "$marker end"'),
    Case("everything skipped", _READ + "each skipped", reachable=True),
    Case("everything empty", _READ + "each ' 0 10.00 10.50'", reachable=True),
    Case("numbers of 100000 digits", _READ + f'each " 0 10.00 {_DIGITS}.50"'),
    Case("NUL", "cat >/dev/null; head -c 1000000 /dev/zero"),
    Case("no UTF-8", "cat >/dev/null; head -c 1000000 /dev/urandom"),
    # -- it lies in the answers
    Case("every line spoiled", f"{_SPOIL} all", reachable=True, seconds=15),
    Case("every text spoiled", f"{_SPOIL} texts", reachable=True, seconds=15),
    Case(
        "spoiled at its source",
        before=f"""
        cp {_STATE}/state /front/state; cp {_IDENTITY} /front/identity
        {{ cat /front/state; printf 'writer '; {_POISON}; echo "{_SECRET}"; }} >{_STATE}/state
        {{ {_POISON}; echo "{_SECRET}"; }} >{_IDENTITY}
        {{ {_POISON}; echo "{_SECRET}"; }} >/front/says
        for group in $(find /sys/fs/cgroup -type d -name tfheal-shared-web.service); do echo $$ >$group/cgroup.procs; done
        {{ {_POISON}; echo "{_SECRET}"; }} | systemd-cat -t "$({_POISON} | tr -d "\\0")"
        perl -e '$_ = "s\\e[2J\\e]0;owned\\a"; exit(syscall(`uname -m` =~ /aarch64/ ? 161 : 170, $_, length) != 0)'
        systemd-run -q --unit front-failed false
    """,
        reachable=True,
    ),
    Case(
        "fields of 100000 digits",
        before=f"""
        cp {_STATE}/state /front/state; cp {_IDENTITY} /front/identity
        echo "generation {_DIGITS}" >>{_STATE}/state; echo "{_DIGITS}" >{_IDENTITY}; echo "{_DIGITS}" >/front/says
    """,
        reachable=True,
    ),
    Case(
        "its tools are others",
        before=f"""
        for tool in systemctl dpkg-query date nproc df; do
          printf '%s\\n' '#!/bin/sh' "{_POISON.replace('"', "'")}; echo {_SECRET}; yes {_DIGITS}" >/usr/local/sbin/$tool
        done
        chmod 755 /usr/local/sbin/*
    """,
        reachable=None,
        seconds=30,
    ),
    Case(
        "a sh that is something else",
        before="printf '#!/bin/cat\\n' >/usr/local/sbin/sh; chmod 755 /usr/local/sbin/sh",
        front='PATH=/usr/local/sbin:$PATH; eval "$SSH_ORIGINAL_COMMAND"',
    ),
    Case(
        "a login script that talks",
        before=f"printf '%s\\n' 'cat ~/.ssh/id_ed25519 ~/.ssh/authorized_keys; {_POISON}' >/root/.ssh/rc".replace(
            "'\\033", "\\033"
        ).replace("\\377'", "\\377"),
        reachable=None,
    ),
    # -- it is honest until somebody acts on it
    Case("an act that hangs", _ACTED + "exec sleep 9876", before=DRIFTS, reachable=True, seconds=30),
    Case("an act without end", _ACTED + "yes", before=DRIFTS, reachable=True, seconds=30),
    Case(
        "an act that is only claimed",
        _ACTED
        + """seq -f "$marker step %.0f changed -" 0 99
            echo "$marker check 0 $(echo up | base64) 0 10.00 10.50"; echo "$marker end" """,
        before=DRIFTS,
        reachable=True,
        seconds=30,
    ),
    Case(
        "an act that tells everything",
        _ACTED
        + f"""seq -f "$marker step %.0f failed $( {{ {_POISON}; echo "{_SECRET}"; }} | base64 -w 0)" 0 9
            echo "$marker check 0 $( {{ {_POISON}; echo "{_SECRET}"; }} | base64 -w 0) 1 10.00 10.50"; echo "$marker end" """,
        before=DRIFTS,
        reachable=True,
        seconds=30,
    ),
    # -- its files are others
    Case(
        "a symbolic link where a file is to be",
        before=f"echo mine >/front/victim; ln -sf /front/victim {_OPEN}",
        reachable=True,
        seconds=10,
        after=f"[ -f {_OPEN} ] && [ ! -L {_OPEN} ] && [ $(cat /front/victim) = mine ]",
    ),
    Case("a device where a file is to be", before=f"rm {_OPEN}; mknod {_OPEN} c 1 5", reachable=True, seconds=10),
    Case(
        "a pipe where the state is",
        before=f"mv {_STATE}/state /front/state; mkfifo {_STATE}/state",
        reachable=None,
        seconds=30,
        after=IS_HEALED,
    ),
    Case(
        "a device where the identity is",
        before=f"mv {_IDENTITY} /front/identity; mknod {_IDENTITY} c 1 5",
        reachable=None,
        seconds=30,
    ),
    Case(
        "a full /tmp",
        before=f"mount -t tmpfs -o size=64k tmpfs /tmp; head -c 99999 /dev/zero >/tmp/full || rm {_OPEN}",
        reachable=True,
        seconds=10,
        after=IS_HEALED,
    ),
)
