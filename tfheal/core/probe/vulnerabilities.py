"""Which vulnerabilities the packages of a slice have, from what is on its disk already: nothing is fetched.

debsecan's daily run keeps what it found (`history`): each vulnerability of each installed package, and whether its suite has
a fix. Where the file of an update was fetched before, as unattended-upgrades does, its changelog says what it closes.
"""

import re
from typing import Final

from tfheal.base import untrusted
from tfheal.core.probe.patches import SEEN
from tfheal.core.probe.script import Answer, Question
from tfheal.model.facts import Fact, Known, Unknown
from tfheal.model.patches import Vulnerabilities

HISTORY: Final = "/var/lib/debsecan/history"
# Of a changelog counts what is above the entry of the installed version, and nothing if that entry is not there.
_SCRIPT: Final = f"""\
if [ -r {HISTORY} ] && {{ read -r form; read -r made; }} <{HISTORY} && [ "$form" = 'VERSION 1' ]; then
  echo "debsecan $(($(date +%s) - made))"
  sed -n -E 's/^(CVE-[0-9]{{4}}-[0-9]{{4,7}}),([a-z0-9][a-z0-9+.-]*),F$/open \\1 \\2 fixed/p;t
    s/^(CVE-[0-9]{{4}}-[0-9]{{4,7}}),([a-z0-9][a-z0-9+.-]*), ?$/open \\1 \\2 no/p' {HISTORY} | head -n 6000
fi
[ ! -e {SEEN} ] || while read -r package old new _; do
  name=${{package%%:*}}
  for file in /var/cache/apt/archives/${{name}}_$(echo "$new" | sed 's/:/%3a/')_*.deb; do
    [ -e "$file" ] || continue
    cves=$(dpkg-deb --fsys-tarfile "$file" | tar -xO --wildcards './usr/share/doc/*/changelog*.gz' 2>/dev/null | zcat 2>/dev/null |
      awk -v old="($old)" 'index($0, old) {{ found = 1; exit }} {{ text = text $0 "\\n" }} END {{ if (!found) exit 1; printf "%s", text }}') || continue
    echo "changelog $name"
    echo "$cves" | grep -oE 'CVE-[0-9]{{4}}-[0-9]{{4,7}}' | sort -u | head -n 50 | while read -r cve; do echo "closes $cve $name"; done
  done
done <{SEEN}
"""
QUESTION: Final = Question("vulnerabilities", _SCRIPT, timeout=20.0, cap=400_000)
_NAME: Final = r"[a-z0-9][a-z0-9+.-]{0,100}"
_OPEN: Final = re.compile(rf"open (CVE-[0-9]{{4}}-[0-9]{{4,7}}) ({_NAME}) (fixed|no)")
_CLOSES: Final = re.compile(rf"closes (CVE-[0-9]{{4}}-[0-9]{{4,7}}) ({_NAME})")
_CHANGELOG: Final = re.compile(rf"changelog ({_NAME})")
_AGE: Final = re.compile(r"debsecan (-?[0-9]{1,10})")


def vulnerabilities(answer: Answer | None) -> Fact[Vulnerabilities]:
    """Given the answer of a slice, return what it knows of the vulnerabilities of its packages."""
    if answer is None or answer.timed_out:
        return Unknown("the slice did not answer in time")
    lines = untrusted.text(answer.output, QUESTION.cap).splitlines()
    age: Fact[int] = Unknown("there is no data of debsecan")
    there: dict[str, set[str]] = {}
    closed: dict[str, set[str]] = {}
    fixed = set()
    for line in lines:
        if match := _OPEN.fullmatch(line):
            there.setdefault(match[2], set()).add(match[1])
            fixed |= {match[2]} if match[3] == "fixed" else set()
        elif match := _CLOSES.fullmatch(line):
            closed.setdefault(match[2], set()).add(match[1])
        elif match := _CHANGELOG.fullmatch(line):
            closed.setdefault(match[1], set())
        elif match := _AGE.fullmatch(line):
            age = Known(max(0, int(match[1])))
    if isinstance(age, Unknown) and not closed:
        return Unknown("neither data of debsecan nor a changelog of an update is there")
    by_package = {name: frozenset(found) for name, found in there.items()}
    return Known(
        Vulnerabilities(by_package, frozenset(fixed), {name: frozenset(one) for name, one in closed.items()}, age)
    )
