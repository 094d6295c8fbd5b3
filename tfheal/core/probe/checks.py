"""A check of a playbook becomes POSIX sh that exits 0 when it passes and prints why when it does not."""

from collections.abc import Mapping
from typing import Final

from tfheal.base import sh, untrusted
from tfheal.base.secret import masked
from tfheal.core.probe.script import Answer, Question
from tfheal.model.facts import CheckFact, Verdict
from tfheal.model.playbook import Check, HttpCheck
from tfheal.model.release import filled

_CAP: Final = 4_096
_CURL_TIMED_OUT: Final = 28


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


def fact(check: Check, secrets: Mapping[tuple[str, int], str], answer: Answer | None) -> CheckFact:
    """Given a check, the secrets it may print and its answer, return the fact.

    A check that was not asked, or whose tool is missing, is unknown.
    """
    if answer is None:
        return CheckFact(check.name, check.kind, "unknown", "no time was left to ask", 0.0)
    if answer.timed_out:
        return CheckFact(check.name, check.kind, "fail", f"no answer within {check.timeout:g} s", answer.seconds)
    detail = masked(untrusted.line(answer.output, 500), secrets.values())
    if answer.status == 0:
        return CheckFact(check.name, check.kind, "pass", detail, answer.seconds)
    verdict: Verdict = "unknown" if answer.status in {126, 127} else "fail"
    return CheckFact(check.name, check.kind, verdict, detail or f"exit {answer.status}", answer.seconds)


def _http(http: HttpCheck, timeout: float) -> str:
    newline = "\n"
    lines = [
        f"reply=$(curl -gsS --noproxy '*' -m {timeout:g} -w '\\n%{{http_code}}' {sh.quote(http.url)} 2>&1) || {{",
        '  status=$?; echo "$reply" | head -c 300; [ $status -eq 127 ] && exit 127; exit 1',
        "}",
        f"code=${{reply##*{sh.quote(newline)}}}",
        f'[ "$code" = {http.status} ] || {{ echo "HTTP $code, wanted {http.status}"; echo "$reply" | head -c 300; exit 1; }}',
    ]
    if http.contains is not None:
        lines += [
            f"case $reply in *{sh.quote(http.contains)}*) ;;",
            f"*) printf '%s\\n' {sh.quote('the answer does not contain: ' + http.contains)}; exit 1;; esac",
        ]
    lines.append('echo "HTTP $code"')
    return "\n".join(lines)


def _tcp(port: str, timeout: float) -> str:
    # curl connects and then waits for a greeting that need not come: its time-out (28) means that the port is open.
    return "\n".join(
        [
            f"curl -s --noproxy '*' --connect-timeout {timeout / 2:g} -m {timeout / 2:g} telnet://127.0.0.1:{port} >/dev/null",
            f"case $? in 0|{_CURL_TIMED_OUT}) echo 'port {port} is open';; 127) exit 127;;",
            f"*) echo 'nobody listens on port {port}'; exit 1;; esac",
        ]
    )
