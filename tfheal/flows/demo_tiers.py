"""`tfheal demo --full`: a second app over two tiers. What one web server takes the other shows, and a dead database is healed."""

from typing import Final

from tfheal.base.errors import ActionFailed
from tfheal.flows.demo import USER, Stage, Steps, broken_and_healed, deployed, healthy, played
from tfheal.model.demo import DemoStep, RpcClient, RpcLogin

APP: Final = "crm"
PARTY: Final = "Ada Ltd"
OPPORTUNITY: Final = "A hundred engines"
_TRIES: Final = 20  # for which company a user works, the server's other processes hear a moment later
_PAUSE: Final = 0.5  # seconds


def demo_tiers(stage: Stage, client: RpcClient) -> tuple[DemoStep, ...]:
    """Given a stage whose slice is the database's, deploy, use, break and heal the app; raise ActionFailed where it fails."""
    here, there = stage.workspace.apps[APP].place["web"][:2]
    steps: Steps = [
        (f"deploy {APP} (tryton) on {stage.slice}, {here} and {there}", lambda: deployed(stage)),
        (f"make a party and an opportunity on {here}", lambda: _made(stage, client, here)),
        (f"read them on {there}", lambda: _read(stage, client, there)),
        ("ask for the status", lambda: healthy(stage)),
        *broken_and_healed(stage, "db-down", f"{APP}/db"),
        (f"read them on {there} again", lambda: _read(stage, client, there)),
        ("ask for the status", lambda: healthy(stage)),
    ]
    return played(stage, steps)


def _login(stage: Stage, client: RpcClient, slice_name: str) -> RpcLogin:
    return client.login(f"{stage.url(slice_name)}{APP}/", USER, stage.password())


def _made(stage: Stage, client: RpcClient, slice_name: str) -> str:
    login = _login(stage, client, slice_name)
    party = _first(client, login, "model.party.party.create", [{"name": PARTY}])
    company, currency = _company(client, login)
    fields = {"description": OPPORTUNITY, "party": party, "company": company, "currency": currency}
    for left in reversed(range(_TRIES)):
        try:
            number = _first(client, login, "model.sale.opportunity.create", [fields])
        except ActionFailed:
            if not left:
                raise
            stage.ports.clock.sleep(_PAUSE)
        else:
            break
    return f"{PARTY}: {OPPORTUNITY} (number {number})"


def _company(client: RpcClient, login: RpcLogin) -> tuple[int, int]:
    """Return the company that the user works for and its currency; the first time both are made."""
    there = client.call(login, "model.company.company.search", [], 0, 1, None)
    if there:
        company = _number(there)
        (row,) = client.call(login, "model.company.company.read", [company], ["currency"])
        return company, int(row["currency"])
    euro = _first(client, login, "model.currency.currency.create", [{"name": "Euro", "code": "EUR", "symbol": "€"}])
    party = _first(client, login, "model.party.party.create", [{"name": "Example provider"}])
    company = _first(client, login, "model.company.company.create", [{"party": party, "currency": euro}])
    me = _first(client, login, "model.res.user.search", [["login", "=", USER]], 0, 1, None)
    client.call(login, "model.res.user.write", [me], {"companies": [["add", [company]]], "company": company})
    return company, euro


def _read(stage: Stage, client: RpcClient, slice_name: str) -> str:
    login = _login(stage, client, slice_name)
    newest = _first(client, login, "model.sale.opportunity.search", [], 0, 1, [["id", "DESC"]])
    (row,) = client.call(login, "model.sale.opportunity.read", [newest], ["description", "party.rec_name"])
    said = f"{row['party.']['rec_name']}: {row['description']}"
    if said != f"{PARTY}: {OPPORTUNITY}":
        raise ActionFailed("the opportunity is not what was made", where=slice_name)
    return f"{said} (number {newest})"


def _first(client: RpcClient, login: RpcLogin, method: str, *words: object) -> int:
    return _number(client.call(login, method, *words))


def _number(answer: list[object]) -> int:
    if not answer or not isinstance(answer[0], int):
        raise ActionFailed("the app did not answer with a number", where=APP)
    return answer[0]
