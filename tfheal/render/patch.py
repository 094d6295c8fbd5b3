"""Updates of machines in words, and as scripts read them: what is pending, and what became of it."""

from rich.console import Group, RenderableType
from rich.text import Text

from tfheal.base.amounts import span
from tfheal.model.facts import Fact, Known, Unknown
from tfheal.model.patches import NOT_RANKED, Patch, Patched, PatchPlan, PatchRun, Pending
from tfheal.render.words import said, table


def patch_words(plan: PatchPlan) -> RenderableType:
    """Given what is pending, return it for a person's screen."""
    lines = [Text(f"{name}: {_line(found, plan.apps[name])}") for name, found in plan.slices.items()]
    rows = [
        (name, one) for name, found in plan.slices.items() if isinstance(found, Known) for one in found.value.patches
    ]
    if not rows:
        return Group(*lines, *_exposed(plan))
    made = table("slice", "package", "installed", "offered", "pending for", "security", "")
    for name, one in rows:
        made.add_row(name, one.package, one.installed, one.offered, span(one.age), _security(one), _trait(one))
    return Group(*lines, *_exposed(plan), Text(""), made)


def patched_words(run: PatchRun) -> RenderableType:
    """Given what became of a patch, return it for a person's screen."""
    return Group(*(Text(line) for one in run.slices for line in _told(one)))


def patch_document(plan: PatchPlan, round_trips: int, run: PatchRun | None = None) -> dict[str, object]:
    """Given what is pending, and what became of it if it was installed, return it as scripts read it: schema tfheal/patch/1."""
    done = {one.slice: _done(one) for one in run.slices} if run else {}
    return {
        "round_trips": round_trips,
        "slices": [
            {"slice": name, "apps": list(plan.apps[name]), **_document(found), **done.get(name, {})}
            for name, found in plan.slices.items()
        ],
    }


def run_document(run: PatchRun) -> list[dict[str, object]]:
    """Given what became of a patch, return that alone as scripts read it."""
    return [{"slice": one.slice, "apps": list(run.apps[one.slice]), **_done(one)} for one in run.slices]


def _line(found: Fact[Pending], apps: tuple[str, ...]) -> str:
    if isinstance(found, Unknown):
        return f"not known: {found.reason}"
    pending = found.value
    security = sum(one.security for one in pending.patches)
    words = [
        f"{security} security updates pending",
        f"{len(pending.patches) - security} others",
        f"package lists {said(pending.lists, span)} old",
    ]
    if isinstance(pending.told, Known):
        exploited = sum(isinstance(one.exploited, Known) and bool(one.exploited.value) for one in pending.patches)
        words += [f"{exploited} known to be exploited", f"data of debsecan {said(pending.told.value.age, _old)}"]
    elif pending.told != NOT_RANKED:
        words += [f"what is exploited is not known: {pending.told.reason}"]
    words += ["a patch was interrupted"] if pending.unfinished else []
    words += ["wants a reboot"] if pending.reboot else []
    return ", ".join([*words, f"under {', '.join(apps)}" if apps else "no apps"])


def _old(seconds: int) -> str:
    return f"{span(seconds)} old"


def _security(one: Patch) -> str:
    """Return whether an update is one of security, and which known exploited vulnerabilities it is about."""
    exploited = one.exploited.value if isinstance(one.exploited, Known) else ()
    if exploited:
        return f"exploited: {', '.join(exploited)}"
    return ("yes, fixes" if one.fixes else "yes") if one.security else ""


def _exposed(plan: PatchPlan) -> list[Text]:
    """Return lines for packages with known exploited vulnerabilities and without an update."""
    return [
        Text(
            f"{name}: {package} has {', '.join(cves)}, known to be exploited, and no update is pending", style="yellow"
        )
        for name, found in plan.slices.items()
        if isinstance(found, Known)
        for package, cves in found.value.exposed.items()
    ]


def _trait(one: Patch) -> str:
    if one.held:
        return "held"
    if one.taken_back:
        return "was taken back (--again tries it)"
    traits = [] if one.returns else ["cannot be taken back"]
    traits += ["stops its database server for some seconds"] if one.interrupts else []
    return ", ".join(traits)


def _told(one: Patched) -> list[str]:
    report = one.report
    packages = f" {', '.join(each.package for each in one.patches)}" if one.patches else ""
    lines = [f"{one.slice}: {one.outcome}{packages}{f': {one.detail}' if one.detail else ''}"]
    lines += [f"  {unit} was stopped by it and started again" for unit in report.started]
    lines += [f"  {unit} was stopped by it and does not start" for unit in report.stopped]
    lines += [f"  {unit} ran what was replaced and was restarted" for unit in report.restarted]
    lines += [f"  {file} is the new configuration; the old one was kept" for file in report.conffiles]
    lines += ["  what an earlier run left half configured was configured"] if report.repaired else []
    left = ", ".join(f"{each.package} {each.offered}" for each in one.left_out)
    lines += [f"  left out, as it was taken back before (--again tries it): {left}"] if left else []
    if one.rebooted:
        return [*lines, "  it was rebooted"]
    lines += [f"  it was not rebooted: {one.not_rebooted}"] if one.not_rebooted else []
    return lines + (["  it wants a reboot"] if report.reboot and not one.not_rebooted else [])


def _done(one: Patched) -> dict[str, object]:
    report = one.report
    return {
        "outcome": one.outcome,
        "detail": one.detail,
        "installed": [f"{each.package}={each.offered}" for each in one.patches],
        "started": list(report.started),
        "stopped": list(report.stopped),
        "restarted": list(report.restarted),
        "conffiles": list(report.conffiles),
        "repaired": report.repaired,
        "rebooted": one.rebooted,
        "not_rebooted": one.not_rebooted,
        "left_out": [f"{each.package}={each.offered}" for each in one.left_out],
    }


def _document(found: Fact[Pending]) -> dict[str, object]:
    if isinstance(found, Unknown):
        return {"pending": {"unknown": found.reason}}
    pending = found.value
    return {
        "pending": [
            {
                "package": one.package,
                "installed": one.installed,
                "offered": one.offered,
                "age": one.age,
                "held": one.held,
                "security": one.security,
                "returns": one.returns,
                "interrupts": one.interrupts,
                "taken_back": one.taken_back,
                "exploited": list(one.exploited.value)
                if isinstance(one.exploited, Known)
                else {"unknown": one.exploited.reason},
                "fixes": one.fixes,
            }
            for one in pending.patches
        ],
        "lists_age": pending.lists.value if isinstance(pending.lists, Known) else {"unknown": pending.lists.reason},
        "exposed": {name: list(cves) for name, cves in pending.exposed.items()},
        "unfinished": pending.unfinished,
        "reboot": pending.reboot,
    }
