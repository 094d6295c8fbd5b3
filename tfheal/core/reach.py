"""How a slice reaches its repository on a store slice, in sh: one forced command over SSH, and nothing else.

Jobs that we start use it, and so does what the slice sends by itself.
"""

from typing import Final

SHUT_OUT: Final = 75  # what a key gets that is shut out (EX_TEMPFAIL of sysexits.h)
# `r` is restic on the repository; port and login are set, and the credentials are those of the unit that it runs in.
# A store is tried for three seconds at a time up to twenty: the first packet through an overlay may be lost.
FAR: Final = """\
way="ssh -F /dev/null -T -i $CREDENTIALS_DIRECTORY/key -o UserKnownHostsFile=$CREDENTIALS_DIRECTORY/known_hosts"
way="$way -o HostKeyAlias=store -o StrictHostKeyChecking=yes -o IdentitiesOnly=yes -o BatchMode=yes -o LogLevel=ERROR"
way="$way -o ServerAliveInterval=15 -o ServerAliveCountMax=4 -o ConnectTimeout=3 -p $port $login"
r() { restic -r rclone: -o "rclone.program=$way" -o rclone.timeout=20s --json "$@"; }
reach() {
  read -r now _ </proc/uptime
  until=$((${now%.*} + 14))
  while :; do
    said=$(timeout 6 $way 2>&1 >/dev/null </dev/null)
    case $? in 255) ;; SHUT_OUT) said='nothing is taken there for now: what is stored is pruned' ;; *) return 0 ;; esac
    read -r now _ </proc/uptime
    [ "${now%.*}" -lt "$until" ] || { printf '%s\\n' "$said" >&2; return 1; }
    sleep 0.5
  done
}
""".replace("SHUT_OUT", str(SHUT_OUT))
