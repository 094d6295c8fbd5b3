"""What a provisioner is told and what it tells: words of a command, host keys in whatever it prints, a paused contract."""

import pytest

from tfheal.core.provision import command, fingerprints, is_destroyed, is_mycelium, obstacle
from tfheal.model.inventory import SliceEntry
from tfheal.model.ssh import fingerprint

ENTRY = SliceEntry(owner="acme", address="400::1", labels={"node": "12 04", "seed": "$(id)"})
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPZ8o0kqxTDjD2dM1aHnLqCpWQpmP1pEXmBnDzBQ1eVq"


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("tfcmd deploy vm --name {slice}", ("tfcmd", "deploy", "vm", "--name", "{slice}")),
        ("make --node={labels.node}", ("make", "--node={labels.node}")),
        ("make '{labels.seed} {owner}' {address}", ("make", "{labels.seed} {owner}", "{address}")),
        ("""make '{"a": 1}' {}""", ("make", '{"a": 1}', "{}")),
    ],
)
def test_values_are_filled_in_and_never_split(template: str, words: tuple[str, ...]) -> None:
    """The words are those of the template; a value with spaces or shell signs stays one word, and means nothing."""
    values = {"slice": "a1", "owner": "acme", "address": "400::1", "labels.node": "12 04", "labels.seed": "$(id)"}
    wanted = words
    for key, value in values.items():
        wanted = tuple(word.replace(f"{{{key}}}", value) for word in wanted)
    assert command(template, "a1", ENTRY) == wanted


@pytest.mark.parametrize(
    ("template", "wrong"),
    [
        ("make {labels.nod}", "names {labels.nod}"),
        ("make {slice.name}", "names {slice.name}"),
        ("make 'open", "no closing quotation"),
        ("  ", "is empty"),
    ],
)
def test_a_command_that_cannot_be_is_told(template: str, wrong: str) -> None:
    """A place that nothing fills, an open quotation, no command at all."""
    with pytest.raises(ValueError, match=wrong.replace("{", r"\{").replace("}", r"\}")):
        command(template, "a1", ENTRY)


def test_host_keys_are_found_in_what_is_printed() -> None:
    """A fingerprint or a whole key, amid other words and colours; half a fingerprint is none."""
    print_of = fingerprint(KEY)
    assert fingerprints(f"INF made\nhost_key {print_of}\n") == {print_of}
    assert fingerprints(f"\\x1b[32m{print_of}\\x1b[0m") == {print_of}
    assert fingerprints(f"[a1]: {KEY} root@a1") == {print_of}
    assert fingerprints(f"{print_of[:-1]} SHA256:{'A' * 44} ssh-ed25519 AAAA") == frozenset()


@pytest.mark.parametrize(
    ("said", "status", "stands"),
    [
        ("created", 0, ""),
        ("", 0, ""),
        ("state: Paused (grace period)", 0, "its platform says that the contract is paused"),
        ("unpaused", 0, ""),
        ("no such contract", 1, "its state command failed with status 1"),
    ],
)
def test_a_contract_stands_in_the_way_or_not(said: str, status: int, stands: str) -> None:
    """Paused does; and so does a command that fails, because then it is not known."""
    assert obstacle(said, status) == stands


@pytest.mark.parametrize(
    ("said", "status", "certain"),
    [
        ("destroyed\n", 0, True),
        (" Destroyed 2 days ago", 0, True),
        ("not destroyed", 0, False),
        ("", 0, False),
        ("destroyed", 1, False),
        ("destroyedness", 0, False),
    ],
)
def test_only_a_clear_word_says_that_a_machine_is_gone(said: str, status: int, *, certain: bool) -> None:
    """It comes first, and from a command that did well: data moves by it."""
    assert is_destroyed(said, status) is certain


def test_only_addresses_of_the_overlay_are_bound_to_a_key() -> None:
    """400::/7 is; its neighbours, the lab's and names are not."""
    assert is_mycelium("400::1")
    assert is_mycelium("5ff:ffff::1")
    assert not any(is_mycelium(one) for one in ("3ff::1", "600::1", "fd00::1", "192.0.2.1", "a1.example"))
