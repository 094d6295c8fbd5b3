"""Commands about gateways: what they lead to, and one instance taken out of the traffic and put back."""

from typing import Annotated

import typer

from tfheal.cli.options import Folder, Json, Quiet, seconds_of

gateway_app = typer.Typer(
    help="Gateways: what each leads to, and which instance gets no requests for a while.", no_args_is_help=True
)

Instance = Annotated[str, typer.Argument(metavar="INSTANCE", help="An instance: APP/COMPONENT@SLICE.")]


@gateway_app.command()
def status(json: Json = False, workspace: Folder = None) -> int:
    """Show what each gateway leads to, as it sees it: what is well, what is under way, and what is drained by whom."""
    from tfheal.base.errors import TfhealError
    from tfheal.base.exits import Exit
    from tfheal.cli import output, wiring
    from tfheal.flows import gateway as flow
    from tfheal.render.gateway import gateways_document, gateways_words

    with wiring.wired(workspace, quiet=True) as hands:
        seen = flow.seen(hands.workspace, hands.ports, hands.limits)
        unknown = any(isinstance(found, TfhealError) for found in seen.values())
        code = int(Exit.UNKNOWN if unknown else Exit.OK)
        now = hands.ports.clock.now().timestamp()
        output.give(
            "gateway-status",
            gateways_document(seen),
            lambda width: gateways_words(seen, now, width),
            as_json=json,
            code=code,
        )
    return code


@gateway_app.command()
def drain(
    instance: Instance,
    longest: Annotated[str, typer.Option("--for", metavar="TIME", help="It is put back by itself after that.")] = "30m",
    patience: Annotated[
        str, typer.Option("--deadline", metavar="TIME", help="What is under way has that long to end, and is cut then.")
    ] = "30s",
    json: Json = False,
    quiet: Quiet = False,
    workspace: Folder = None,
) -> int:
    """Give an instance no new requests, and wait until what is under way there has ended; never the last that is well."""
    from tfheal.base.exits import Exit
    from tfheal.cli import output, wiring
    from tfheal.flows import gateway as flow
    from tfheal.render.gateway import drains_document, drains_words

    with wiring.wired(workspace, quiet=quiet or json) as hands:
        out = flow.Out(hands.ports.writer, seconds_of(longest, "--for"), seconds_of(patience, "--deadline"))
        points = flow.meant(hands.workspace, instance, hands.ports)
        done = [flow.drain(hands.workspace, point, out, hands.ports) for point in points]
        code = int(Exit.OK if all(one.state == "drained" for one in done) else Exit.REFUSED)
        document = drains_document(instance, done)
        output.give("gateway-drain", document, lambda _: drains_words(instance, done), as_json=json, code=code)
    return code


@gateway_app.command()
def undrain(instance: Instance, json: Json = False, quiet: Quiet = False, workspace: Folder = None) -> int:
    """Give an instance requests again, whoever took it out; slowly more of them."""
    from tfheal.base.exits import Exit
    from tfheal.cli import output, wiring
    from tfheal.flows import gateway as flow
    from tfheal.render.gateway import drains_document, drains_words

    with wiring.wired(workspace, quiet=quiet or json) as hands:
        points = flow.meant(hands.workspace, instance, hands.ports)
        done = [flow.undrain(hands.workspace, point, "", hands.ports) for point in points]
        code = int(Exit.OK if all(one.state == "back" for one in done) else Exit.FINDINGS)
        document = drains_document(instance, done)
        output.give("gateway-undrain", document, lambda _: drains_words(instance, done), as_json=json, code=code)
    return code


@gateway_app.command()
def backends(
    app: Annotated[str, typer.Argument(metavar="APP", help="The app.")], json: Json = False, workspace: Folder = None
) -> None:
    """Print the URLs of an app for a gateway of somebody else's, such as the platform's, which checks nothing itself."""
    from tfheal.cli import output, wiring
    from tfheal.flows import gateway as flow

    with wiring.wired(workspace, quiet=True) as hands:
        found = flow.addresses(hands.workspace, app, hands.ports)
        output.tell("gateway-backends", {"app": app, "backends": list(found)}, "\n".join(found), as_json=json)


@gateway_app.command()
def certificates(
    renew: Annotated[bool, typer.Option("--renew", help="Get those that are due now, whatever failed before.")] = False,
    json: Json = False,
    quiet: Quiet = False,
    workspace: Folder = None,
) -> int:
    """Show the certificates that gateways end TLS with: of whom they are, until when they hold, and why one was not renewed."""
    from tfheal.cli import output, wiring
    from tfheal.flows import certificates as flow
    from tfheal.render.certificates import certificates_document, certificates_words, code_of

    with wiring.wired(workspace, quiet=quiet or json or not renew) as hands:
        seen = flow.seen(hands.workspace, hands.ports, hands.limits)
        done = flow.renew(hands.workspace, seen, hands.ports) if renew else ()
        if done:
            seen = flow.seen(hands.workspace, hands.ports, hands.limits)
        now = hands.ports.clock.now()
        code = int(code_of(seen, done, now))
        document = certificates_document(seen, done)
        output.give(
            "gateway-certificates",
            document,
            lambda width: certificates_words(seen, done, now, width),
            as_json=json,
            code=code,
        )
    return code


@gateway_app.command()
def root(
    app: Annotated[str, typer.Argument(metavar="APP", help="A gateway with `tls: internal`.")],
    json: Json = False,
    workspace: Folder = None,
) -> None:
    """Print the certificate of a gateway's own authority, as PEM: whoever is to trust its certificates has to know it."""
    from tfheal.cli import output, wiring
    from tfheal.flows import certificates as flow

    with wiring.wired(workspace, quiet=True) as hands:
        found = flow.root(hands.workspace, app, hands.ports)
        output.tell("gateway-root", {"app": app, "certificate": f"{found}\n"}, found, as_json=json)
