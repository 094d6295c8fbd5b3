"""The parts of the manual that no model can tell, in words."""

from typing import Final

HEALTH: Final = """\
How healthy something is

An instance (a component on a slice, written app/component@slice) is
  healthy    everything that was asked is well
  degraded   it runs, but does not serve as it should: a `ready` check fails
  down       it does not run: its unit or an `alive` check fails
  blocked    something that it needs is down; it is not to blame and is not healed
  paused     its owner said hands off on that slice, or a person paused it (tfheal pause)
  absent     it was never deployed there, or was removed
  unknown    it could not be asked; it is never healed for that

An app is down if one of its components has no healthy instance, else degraded if any instance is not healthy, else
unknown if any is unknown, else healthy. An app that was never deployed is absent.

Checks are of four kinds: `alive` (does it run; may heal), `ready` (does it serve), `consistent` (is its data right), and
`stored` (does what changes reach the store; whoever has to know is called, and the instance is as healthy as it was).
"""

SELECTORS: Final = """\
Which apps a command means

  NAME               an app; * stands for any letters: acme-*
  owner:NAME         the apps of an owner
  slice:NAME         the apps with an instance on a slice
  label:KEY=VALUE    the apps on slices with that label
  playbook:NAME      the apps of a playbook
  --except SELECTOR  without these; can be given again

Several selectors mean the apps that any of them matches. None means all, for what looks or heals; `deploy` and
`remove` want at least one. A selector that matches nothing is a mistake (exit 2).

`patch` works on machines: there `slice:`, `label:` and `owner:` mean slices themselves, and no other slice of an app that
is on one; the rest mean the slices that apps are on. What --except names is left out, whatever else is on it.
"""

SLICES: Final = """\
Slices: the machines of owners

A slice is one Linux machine (systemd 252 or newer; Debian 13 is what we test on) that is reached by SSH as root or as
a user that needs no password for sudo. It is listed in inventory.toml, and its host keys are pinned in known_hosts;
a changed key is never accepted by itself.

  tfheal slice add NAME --owner OWNER ADDRESS   look at it once, pin its key, write it down
  tfheal slice list                             what is listed
  tfheal slice trust NAME                       pin its key anew, once you know why it changed
  tfheal slice forget NAME                      take it out

An IPv6 address is written without brackets. Port, user and key come from ~/.ssh/config where the inventory does not say.
The owner of a slice stops all of it with a file: /etc/tfheal/hands-off. What was done stands in
/var/log/tfheal/journal.jsonl on the slice. `tfheal lab up` makes slices to try things on.
"""

SECRETS: Final = """\
Secrets

A playbook names its secrets; each is made of random letters and digits on the first deploy. They are kept in secrets/
in the workspace, encrypted with age, and are made to be kept in git. The key is not: it is the file that
TFHEAL_AGE_KEY_FILE names, or ~/.config/tfheal/age.key, with mode 0600. Without it no secret can be read again: keep a
copy in a safe place.

  tfheal secret show APP NAME     print it
  tfheal secret set APP NAME      give it a value of your own (asked for, or --stdin)
  tfheal secret rotate APP NAME   make a new one; the next deploy brings it into use

In a playbook a secret is {{ secrets.NAME }}. It belongs into a file of mode 0600 or into `credentials` of a service,
never into a unit, an environment or a command line.
"""

JOURNAL: Final = """\
The journal

Everything that tfheal does is written down twice: before it begins (what, where, why) and after it ended (how). So a
run that was killed leaves "begun, outcome unknown", and the next run finishes or undoes it. The journal of the
workspace is .tfheal/journal.db; `tfheal history` shows it. On each slice /var/log/tfheal/journal.jsonl holds what was
done there, each entry with the hash of the one before, so that the owner can see that none was taken out.
"""

PLACEMENT: Final = """\
Where apps run, and who moves them

`place:` in an app spec says where each component runs, `spares:` which slices are kept free for it. When a slice is lost
(silent for `gone_after`, come back empty, or with another host key) and holds no data, heal has it made anew by its
provisioner (`allow: [recreate]`), else moves what ran there to a spare (`allow: [rehome]`); else it calls a human.

A move is a decision written as a whole: the new place of each component with a higher generation, a release for each
instance, and the old instance retired. Then the instances are deployed in the order of their needs. A run that is killed
on the way is finished by the next. What is retired is taken away as soon as its slice answers, before anything else.

The app spec is not edited. What was moved stands, for every command, until
  - `place:` in the app spec changes: then the spec is right again; `deploy` refuses while an instance is left that it
    does not place, and says how to remove it;
  - a person says otherwise: tfheal place APP COMPONENT=SLICE[,SLICE]. What a person placed elsewhere than the spec says
    is pinned, and heal does not move it; put back to where the spec says, it is no longer pinned.

Neither heal nor a person moves a component that holds data, or an app whose workspace asks for something newer than what
is deployed: deploy that first.

  tfheal place APP                    where its components run, where the spec says, who placed them
  tfheal place APP COMPONENT=SLICE    move one
"""

TEMPLATES: Final = """\
Templates

The text fields of a component, and files named by `template:`, may hold Jinja2: {{ name }}, {% if %}, {% for %}. A name
that does not exist is a mistake. The rest of a playbook is never a template. A value in YAML that begins with {{ needs
quotes.

  app owner version component slice      the instance; version as the app spec says
  hostname address                       the app's host name (else the address), the slice's address
  user home current config data          its system user; its folders on the slice
  unit unit_stem                         its service unit, with and without the ending .service
  lock                                   the text of the lock file of this version
  settings.NAME  secrets.NAME            what the app spec sets, else the default; a secret
  peers.COMPONENT                        the addresses of the slices of a component, as a list
  routes                                 of a gateway: what it leads to, each with app, host, port, health, servers
  gateways                               the addresses of the slices of the gateway that leads here, as a list
"""

EXIT_CODES_HEAD: Final = """\
Exit codes, the same for every command; when several apply, the first in this list wins

"""
EXIT_CODES: Final = {
    130: "interrupted by Ctrl-C; what was begun is in the journal and goes on with the next run",
    143: "interrupted by SIGTERM; as 130",
    1: "a mistake of tfheal itself; a report is written to a file",
    2: "usage or configuration is wrong, or a question would have to be asked; nothing was touched",
    5: "an action was tried and failed",
    7: "needs a human: the ladder is at its end, data is at risk, or the storm guard holds",
    6: "refused: another run holds the lease, it is paused, or it is not permitted",
    3: "findings: something is unhealthy, waits, or would change",
    4: "some slice could not be asked; all that could be asked is well",
    0: "healthy, nothing to do, or done",
}
