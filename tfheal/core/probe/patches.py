"""Security updates that are pending: what a slice is asked, and the parser that believes no line it cannot read.

Security is told by origin: a package is counted if what replaces it comes from a suite named `…-security`, as Debian's and
Ubuntu's are; packages that are held count too. An age is since the slice first saw it pending, at most since its boot.
"""

import re
from typing import Final

from tfheal.base import untrusted
from tfheal.core.probe.script import Answer, Question
from tfheal.model import paths
from tfheal.model.facts import Fact, Known, Unknown
from tfheal.model.patches import Patch, Pending

# Finding out costs a second of CPU, so it is done once per change of the lists; what did not succeed is not tried again
# before the next change.
_SEEN: Final = f"""\
ls /var/lib/apt/lists/*_Packages* >/dev/null 2>&1 || exit 0
seen={paths.RUN}/security-pending
now=$(date +%s)
if [ ! -e $seen.asked ] || [ /var/lib/apt/lists -nt $seen.asked ] || [ /var/lib/dpkg/status -nt $seen.asked ]; then
  mkdir -p {paths.RUN} && echo unknown >$seen.asked
  [ -e $seen ] || : >$seen
  if list=$(timeout 20 apt-get -s -o Debug::NoLocking=1 --ignore-hold --with-new-pkgs upgrade 2>/dev/null); then
    held=" $(apt-mark showhold 2>/dev/null | tr '\\n' ' ')"
    echo "$list" | sed -n -E 's/^Inst ([^ ]+) \\[([^] ]+)\\] \\(([^ ]+) [^[]*-security[, ].*/\\1 \\2 \\3/p' | head -n 500 |
    while read -r package old new; do
      first=$now hold=no
      while read -r known _ _ since _; do [ "$known" != "$package" ] || first=$since; done <$seen
      case $held in *" $package "*) hold=held;; esac
      echo "$package $old $new $first $hold"
    done >$seen.new
    mv $seen.new $seen && echo ok >$seen.asked
  fi
fi
read -r state <$seen.asked
"""
COUNT: Final = f"""\
{_SEEN}[ "$state" = ok ] || {{ echo "security unknown"; exit 0; }}
count=0 oldest=$now
while read -r _ _ _ since _; do count=$((count + 1)); [ "$since" -ge "$oldest" ] || oldest=$since; done <$seen
echo "security $count"
[ "$count" = 0 ] || echo "oldest $((now - oldest))"
"""
_LIST: Final = f"""\
{_SEEN}echo "state $state"
echo "lists $((now - $(stat -c %Y /var/lib/apt/lists)))"
[ ! -e /run/reboot-required ] || echo "reboot"
while read -r package old new since hold; do echo "patch $package $old $new $((now - since)) $hold"; done <$seen
"""
QUESTION: Final = Question("patches", _LIST, timeout=25.0, cap=131_072)
_NUMBER: Final = re.compile(r"[0-9]{1,12}")
_PATCH: Final = re.compile(
    r"patch ([a-z0-9][a-z0-9+.:-]{0,100}) ([0-9A-Za-z.+~:-]{1,100}) ([0-9A-Za-z.+~:-]{1,100}) ([0-9]{1,12}) (held|no)"
)


def pending(answer: Answer | None) -> Fact[Pending]:
    """Given the answer of a slice, return what is pending there."""
    if answer is None or answer.timed_out:
        return Unknown("the slice did not answer in time")
    lines = untrusted.text(answer.output, QUESTION.cap).splitlines()
    if not lines:
        return Unknown("no package lists")
    if "state ok" not in lines:
        return Unknown("apt could not say")
    found = [match for line in lines if (match := _PATCH.fullmatch(line))]
    ages = [line.removeprefix("lists ") for line in lines if line.startswith("lists ")]
    lists: Fact[int] = Unknown("the slice did not say")
    if len(ages) == 1 and _NUMBER.fullmatch(ages[0]):
        lists = Known(int(ages[0]))
    patches = tuple(Patch(each[1], each[2], each[3], int(each[4]), each[5] == "held") for each in found)
    return Known(Pending(patches, lists, "reboot" in lines))
