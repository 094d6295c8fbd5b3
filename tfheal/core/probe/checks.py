"""A check of a playbook becomes POSIX sh that exits 0 when it passes and prints why when it does not."""

from collections.abc import Collection, Mapping
from typing import Final

from tfheal.base import sh, untrusted
from tfheal.core.probe.script import Answer, Question, duration
from tfheal.model.facts import CheckFact, Verdict
from tfheal.model.playbook import Check, HttpCheck
from tfheal.model.release import filled

_CAP: Final = 4_096
_DETAIL_CAP: Final = 500
_NOT_ASKED: Final = frozenset({125, 126, 127})  # `timeout` itself failed, or what should ask is missing
_CONNECTED_WITHIN: Final = 1.0  # seconds, on the machine itself
# The owner's own settings of curl do not count (-q), and an answer without an end does not eat the machine's memory.
_PAGE_CAP: Final = 8 << 20
_MEMORY: Final = "ulimit -v 524288 2>/dev/null"  # KiB
_CURL: Final = "curl -q -gsS --noproxy '*'"


def script(check: Check, secrets: Mapping[tuple[str, int], str]) -> str:
    """Given a rendered check and the secrets it names, return its question in sh."""
    if check.http:
        return _http(check.http, check.timeout)
    if check.tcp is not None:
        return _tcp(str(check.tcp), check.timeout)
    return filled(check.command or "false", secrets)


def question(key: str, check: Check, secrets: Mapping[tuple[str, int], str]) -> Question:
    """Given a name, a rendered check and the secrets it names, return the question."""
    return Question(key, script(check, secrets), timeout=check.timeout, cap=_CAP)


def fact(check: Check, hidden: Collection[str], answer: Answer | None) -> CheckFact:
    """Given a check, what is not to be shown of its words, and its answer, return the fact.

    A check that was not asked, or whose tool is missing, is unknown.
    """
    if answer is None:
        return CheckFact(check.name, check.kind, "unknown", "no time was left to ask", 0.0)
    if answer.timed_out:
        return CheckFact(check.name, check.kind, "fail", f"no answer within {check.timeout:g} s", answer.seconds)
    detail = untrusted.line(answer.output, _DETAIL_CAP, hidden)
    if answer.status == 0:
        return CheckFact(check.name, check.kind, "pass", detail, answer.seconds)
    verdict: Verdict = "unknown" if answer.status in _NOT_ASKED else "fail"
    return CheckFact(check.name, check.kind, verdict, detail or f"exit {answer.status}", answer.seconds)


def _http(http: HttpCheck, timeout: float) -> str:
    newline = sh.quote("\n")
    wrong = f"HTTP %s, wanted {http.status}"
    lines = [
        _MEMORY,
        "reply=$({",
        f"  {_CURL} -m {duration(timeout)} -w '\\n%{{http_code}}' {sh.quote(http.url)} 2>&1; printf '\\n%s' $?",
        f"}} | head -c {_PAGE_CAP})",
        f"[ ${{#reply}} -lt {_PAGE_CAP} ] || {{ echo 'the answer is longer than {_PAGE_CAP >> 20} MiB'; exit 1; }}",
        f"status=${{reply##*{newline}}}; reply=${{reply%{newline}*}}",
        '[ "$status" = 0 ] || { printf %.300s "$reply"; [ "$status" = 127 ] && exit 127; exit 1; }',
        f"code=${{reply##*{newline}}}",
        f'[ "$code" = {http.status} ] || {{ printf \'{wrong}\\n%.300s\' "$code" "$reply"; exit 1; }}',
    ]
    if http.contains is not None:
        lines += [
            f"case $reply in *{sh.quote(http.contains)}*) ;;",
            f"*) printf '%s\\n' {sh.quote('the answer does not contain: ' + http.contains)}; exit 1;; esac",
        ]
    lines.append('echo "HTTP $code"')
    return "\n".join(lines)


def _tcp(port: str, timeout: float) -> str:
    # curl connects and then waits for a greeting that need not come: what counts is whether it was connected.
    patience = duration(min(timeout / 2, _CONNECTED_WITHIN))
    url = sh.quote(f"telnet://localhost:{port}")
    return "\n".join(
        [
            f"took=$({_CURL} -m {patience} -o /dev/null -w '%{{time_connect}}' {url} 2>/dev/null)",
            f"case $?:$took in 127:*) echo 'curl is missing'; exit 127;; *:*[1-9]*) echo {sh.quote(f'port {port} is open')};;",
            f"*) echo {sh.quote(f'nobody listens on port {port}')}; exit 1;; esac",
        ]
    )
