"""What gateways count of an app's instances, and whether those of a new version fail more of their requests than the others.

Counts are of HAProxy's process: a reload begins anew, which is told by the process that counted. A rate is judged by Fisher's
exact test, which is right for small counts too: how likely so many failures are if both versions fail alike.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from math import exp, lgamma
from typing import Final, Literal

from tfheal.model.draining import Backend
from tfheal.model.release import InstanceName

Verdict = Literal["few", "well", "worse", "unsure"]

ENOUGH: Final = 100  # requests below which failures say nothing: the checks alone decide
SURE: Final = 0.01  # how likely chance may be for a verdict at the end of a watch
SURE_AT_ONCE: Final = 0.0001  # the same at each look before: who looks often would find something by chance else
_MOST: Final = 0.5  # part of its requests that no version of use fails, whatever was before
_NOTHING: Final = 1e-18
_TERMS: Final = 1_000_000  # of a sum that a gateway with counts of its own invention could make endless


@dataclass(frozen=True, slots=True)
class Rate:
    """How many requests there were, and how many of them failed."""

    requests: int = 0
    failed: int = 0

    @property
    def share(self) -> float:
        """Return which part of the requests failed."""
        return self.failed / self.requests if self.requests else 0.0

    def __add__(self, other: "Rate") -> "Rate":
        return Rate(self.requests + other.requests, self.failed + other.failed)

    def __str__(self) -> str:
        return f"{self.failed} of {self.requests} ({self.share:.1%})"


def total(rates: Iterable[Rate]) -> Rate:
    """Return rates together."""
    return sum(rates, Rate())


def of(backend: Backend) -> Rate:
    """Return what a gateway counted of an instance: answers of status 5xx, broken ones and none at all are failures."""
    return Rate(backend.answers + backend.errors, backend.failures + backend.errors)


@dataclass(frozen=True, slots=True)
class Tally:
    """What came since it began, by instance; `last` is the process that counted and its last count, at each gateway."""

    last: Mapping[tuple[InstanceName, InstanceName], tuple[int, Rate]] = field(default_factory=dict)
    gained: Mapping[InstanceName, Rate] = field(default_factory=dict)

    def seen(self, backends: Iterable[Backend]) -> "Tally":
        """Return the tally after another look; what is seen for the first time begins with it, what a new process counted is all new."""
        last, gained = dict(self.last), dict(self.gained)
        for one in backends:
            now, key = of(one), (one.gateway, one.instance)
            process, before = last.get(key, (one.process, now))
            if process != one.process or now.requests < before.requests or now.failed < before.failed:
                before = Rate()
            gain = Rate(now.requests - before.requests, now.failed - before.failed)
            gained[one.instance] = gained.get(one.instance, Rate()) + gain
            last[key] = (one.process, now)
        return Tally(last, gained)

    def of(self, instances: Collection[InstanceName]) -> Rate:
        """Return what came of these instances together."""
        return total(self.gained.get(name, Rate()) for name in instances)


def verdict(new: Rate, old: Rate, more: float, sure: float = SURE) -> Verdict:
    """Given what a new version and the one before did, judge the new one: it may fail a part `more` of its requests.

    `few`: too few requests to say; `worse`: more fail than that, and not by chance; `unsure`: more fail, which may be chance,
    or there is nothing to compare with and not most of them fail. Where both fail alike the new one is `well`: it is not its fault.
    """
    if new.requests < ENOUGH:
        return "few"
    known = old.requests >= ENOUGH
    if new.share - (old.share if known else 0.0) <= more:
        return "well"
    if not known and new.share > _MOST:
        return "worse"
    return "worse" if known and by_chance(new, old) < sure else "unsure"


def by_chance(new: Rate, old: Rate) -> float:
    """Return how likely so many failures of the new one, or more, are if each request of both is as likely to fail."""
    failed, requests = new.failed + old.failed, new.requests + old.requests
    least, most = max(new.failed, failed - old.requests), min(failed, new.requests)
    found = 0.0
    for count in range(least, min(most, least + _TERMS) + 1):
        ways = _ways(new.requests, count) + _ways(old.requests, failed - count) - _ways(requests, failed)
        found += (part := exp(ways))
        if count > failed * new.requests / requests and part < _NOTHING:
            break  # past what is expected each is less likely than the one before
    return min(1.0, found)


def _ways(all_of: int, some: int) -> float:
    """Return the logarithm of in how many ways so many can be chosen."""
    return lgamma(all_of + 1) - lgamma(some + 1) - lgamma(all_of - some + 1)
