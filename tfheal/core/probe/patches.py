"""Updates that are pending: what a slice is asked, and the parser that believes no line it cannot read.

Security is told by origin: an update is one of security if it comes from a suite named `…-security`, as Debian's and
Ubuntu's are; packages that are held count too. An age is since the slice first saw it pending, over all its boots: by it
ends how long a security update waits for a window.
"""

import re
from typing import Final

from tfheal.base import untrusted
from tfheal.core.probe import charter
from tfheal.core.probe.script import Answer, Question
from tfheal.model import paths
from tfheal.model.facts import Fact, Known, Unknown
from tfheal.model.patches import Patch, Pending

SEEN: Final = f"{paths.STATE}/updates-pending"
# Finding out costs a second of CPU, so it is done once per change of the lists and per boot; what did not succeed is not
# tried again before the next change. Who looks meanwhile waits for it. What is of later than now was seen by a wrong clock.
_PENDING: Final = f"""\
[ ! -e /run/reboot-required ] || echo "reboot"
[ ! -e {paths.PATCH}/unfinished ] || echo "unfinished"
ls /var/lib/apt/lists/*_Packages* >/dev/null 2>&1 || exit 0
seen={SEEN} asked={paths.RUN}/updates-asked
mkdir -p {paths.RUN} {paths.STATE}
{{
  flock -w 15 9 && busy=no || busy=yes
  now=$(date +%s)
  if [ $busy = no ] &&
    {{ [ ! -e $seen ] || [ ! -e $asked ] || [ /var/lib/apt/lists -nt $asked ] || [ /var/lib/dpkg/status -nt $asked ]; }}; then
    echo unknown >$asked
    [ -e $seen ] || : >$seen
    if list=$(timeout 20 apt-get -s -o Debug::NoLocking=1 --ignore-hold --with-new-pkgs upgrade 2>/dev/null); then
      held=" $(apt-mark showhold 2>/dev/null | tr '\\n' ' ')"
      echo "$list" | sed -n -E \\
        -e 's/^Inst ([^ ]+) \\[([^] ]+)\\] \\(([^ ]+) [^[]*-security[, ].*/\\1 \\2 \\3 security/p;t' \\
        -e 's/^Inst ([^ ]+) \\[([^] ]+)\\] \\(([^ ]+) .*/\\1 \\2 \\3 other/p' | head -n 500 |
      while read -r package old new kind; do
        first=$now hold=no
        while read -r known _ _ since _; do [ "$known" != "$package" ] || ! [ "$since" -le "$now" ] || first=$since; done <$seen
        case $held in *" $package "*) hold=held;; esac
        echo "$package $old $new $first $hold $kind" || exit
      done >$seen.new && mv $seen.new $seen && echo ok >$asked
    fi
  fi
  read -r state <$asked
}} 9>{paths.RUN}/updates-lock
"""
COUNT: Final = f"""\
{_PENDING}[ "$state" = ok ] || {{ echo "security unknown"; exit 0; }}
count=0 oldest=$now
while read -r _ _ _ since _ kind; do
  [ "$kind" = security ] || continue
  count=$((count + 1)); [ "$since" -ge "$oldest" ] || oldest=$since
done <$seen
echo "security $count"
[ "$count" = 0 ] || echo "oldest $((now - oldest))"
[ "$count" = 0 ] || [ ! -r /var/lib/debsecan/history ] || {{
  echo debsecan
  awk -F '[ ,:]' 'NR == FNR {{ if (/ security$/) name[$1] = 1; next }} $1 ~ /^CVE-/ && name[$2] {{ print "cve " $1 }}' $seen /var/lib/debsecan/history |
    sort -u | head -n 300
}}
"""
# The installed version can be had again where a list offers it still, its file was kept, or there is what makes one of it.
_LIST: Final = f"""\
{charter.LINE}read -r up _ </proc/uptime
read -r stat </proc/1/stat; set -- ${{stat##*) }}; shift 19
echo "up $((${{up%.*}} - $1 / $(getconf CLK_TCK)))"
{_PENDING}echo "state $state"
echo "lists $((now - $(stat -c %Y /var/lib/apt/lists)))"
offered=$(cut -d ' ' -f 1 $seen | xargs -r apt-cache madison 2>/dev/null | tr -d ' ')
while read -r package old new since hold kind; do
  again=no back=no
  kept=/var/cache/apt/archives/${{package%%:*}}_$(echo "$old" | sed 's/:/%3a/')
  case "
$offered" in *"
${{package%%:*}}|$old|"*) again=secured;; esac
  if [ $again = no ] && {{ command -v dpkg-repack || ls "$kept"_*.deb; }} >/dev/null 2>&1; then again=secured; fi
  ! grep -qxF "$package $new" {paths.PATCH}/taken-back 2>/dev/null || back=taken-back
  echo "patch $package $old $new $((now > since ? now - since : 0)) $hold $kind $again $back"
done <$seen
"""
QUESTION: Final = Question("patches", _LIST, timeout=25.0, cap=131_072)
_PATCH: Final = re.compile(
    r"patch ([a-z0-9][a-z0-9+.:-]{0,100}) ([0-9A-Za-z.+~:-]{1,100}) ([0-9A-Za-z.+~:-]{1,100}) ([0-9]{1,10}) (held|no)"
    r" (security|other) (secured|no) (taken-back|no)"
)


def pending(answer: Answer | None) -> Fact[Pending]:
    """Given the answer of a slice, return what is pending there; where a patch was interrupted apt may be unable to say, until it is ended."""
    if answer is None or answer.timed_out:
        return Unknown("the slice did not answer in time")
    lines = untrusted.text(answer.output, QUESTION.cap).splitlines()
    if "unfinished" not in lines and not any(line.startswith("state ") for line in lines):
        return Unknown("no package lists")
    if "unfinished" not in lines and "state ok" not in lines:
        return Unknown("apt could not say")
    found = tuple(_patch(match) for line in lines if (match := _PATCH.fullmatch(line)))
    return Known(
        Pending(
            found,
            _number(lines, "lists"),
            reboot="reboot" in lines,
            unfinished="unfinished" in lines,
            charter=charter.written(lines),
            up=_number(lines, "up"),
        )
    )


def _number(lines: list[str], word: str) -> Fact[int]:
    told = [line.removeprefix(f"{word} ") for line in lines if line.startswith(f"{word} ")]
    number = untrusted.whole(told[0], untrusted.CENTURY) if len(told) == 1 else None
    return Unknown("the slice did not say") if number is None else Known(number)


def _patch(match: re.Match[str]) -> Patch:
    return Patch(
        match[1],
        match[2],
        match[3],
        int(match[4]),
        held=match[5] == "held",
        security=match[6] == "security",
        secured=match[7] == "secured",
        taken_back=match[8] == "taken-back",
    )
