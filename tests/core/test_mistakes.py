"""Whatever is written instead of what belongs there, the mistake is told in our words and at its place."""

import copy
import re
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from workspaces import VALID

from tfheal.base.errors import ConfigError, Mistake
from tfheal.core.mistakes import checked, nearest
from tfheal.core.schema import FILES
from tfheal.edge.toml_text import parse_toml
from tfheal.edge.yaml_text import parse_yaml
from tfheal.model.document import Document

# What pydantic says and people do not; a message that holds any of it has leaked.
FOREIGN = re.compile(
    r"Input should|Field required|validat|Extra inputs|string_|_type|Union|NoneType|literal|tuple|dict\b|\^\["
)
WHOLE = {
    "workspace": parse_toml(
        "x", 'name = "x"\n[page]\nurl = "https://x"\n[heal]\nasks = 3\nbackoff = "5s"\n[ssh]\nstarts = 3\n'
    ).data,
    "inventory": parse_toml(
        "x",
        '[owners.a]\ncontact = "x"\n[slices.b]\nowner = "a"\naddress = "::1"\nport = 22\nuser = "x"\nkey = "k"\n'
        'labels = { role = "x" }\nsize = { cpu = 1, memory = "4G", disk = 5 }\n'
        '[slices.b.provisioner]\nrecreate = "x"\ntimeout = "5m"\n',
    ).data,
    "app": parse_yaml("x", VALID["apps/site.yaml"] + "heal: {allow: [restart], reflex: off}\nspares: [a3]\n").data,
    "playbook": parse_yaml(
        "x",
        VALID["playbooks/demo/playbook.yaml"]
        + "  more:\n    ladder: [page]\n    url: x\n    resources:\n"
        + "      - {kind: packages, names: [a]}\n      - {kind: directory, path: /x, data: true}\n"
        + "      - {kind: user, name: x, groups: [a]}\n      - {kind: unit, name: a, content: b}\n"
        + "      - {kind: firewall, allow: [{port: 1, peers: [x]}]}\n      - {kind: command, name: a, run: b, done: c}\n"
        + "    service: {exec: x, memory: 5M, tasks: 4, environment: {A: b}, credentials: {c: d}, directives: {E: f}}\n",
    ).data,
}
ODD = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 99_999_999), st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["", "x", "yes", "5s", "A B", "0", "[::1]", "{{", "\u202eevil", "x" * 300]),
    st.just([]), st.just({}), st.just([[]]), st.just([None]), st.just({"x": {}}), st.just([{"kind": "file"}]), st.just({"": 1}),
)  # fmt: skip


def _keys(data: Any, key: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:  # noqa: ANN401
    parts = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [found for part, inner in parts for found in [(*key, part), *_keys(inner, (*key, part))]]


@pytest.mark.parametrize("file", FILES)
def test_the_whole_example_is_valid(file: str) -> None:
    """What is spoilt below is valid before."""
    checked(FILES[file], file, Document("x", WHOLE[file]))


@settings(max_examples=120, deadline=None)
@given(data=st.data(), file=st.sampled_from(sorted(FILES)))
def test_no_spoilt_file_is_told_in_foreign_words(data: st.DataObject, file: str) -> None:
    """Put something odd in place of any value, or under a new key: either it is valid, or every message is ours."""
    spoilt = copy.deepcopy(WHOLE[file])
    for _ in range(data.draw(st.integers(1, 3))):
        keys = _keys(spoilt)
        if not keys:
            break
        *path, last = data.draw(st.sampled_from(keys))
        around: Any = spoilt
        for part in path:
            around = around[part]
        match data.draw(st.sampled_from(["replace", "remove", "add"])):
            case "replace":
                around[last] = copy.deepcopy(data.draw(ODD))
            case "add" if isinstance(around, dict):
                around[data.draw(st.sampled_from(["nam", "kind", "", "file", "packages", "0"]))] = copy.deepcopy(
                    data.draw(ODD)
                )
            case _:
                del around[last]
    text = yaml.safe_dump(spoilt, sort_keys=False, allow_unicode=True) if file in {"app", "playbook"} else None
    document = parse_yaml("x", text) if text and "\u202e" not in text else Document("x", spoilt)
    for mistake in _mistakes(file, document):
        said = f"{mistake.what} {mistake.hint}"
        assert not FOREIGN.search(said), said
        assert "\u202e" not in f"{said} {mistake.key}"
        assert len(said) < 600


def _mistakes(file: str, document: Document) -> tuple[Mistake, ...]:
    try:
        checked(FILES[file], file, document)
    except ConfigError as error:
        return error.mistakes
    return ()


@pytest.mark.parametrize(
    ("word", "known", "hint"),
    [
        ("plase", ["place", "playbook"], "did you mean place?"),
        ("zzz", ["a", "b"], "known are a, b"),
        ("zzz", [], ""),
        (
            "zzz",
            [f"n{number}" for number in range(20)],
            "known are n0, n1, n10, n11, n12, n13, n14, n15, n16, n17, n18, n19, … (20 in all)",
        ),
    ],
)
def test_the_nearest_word(word: str, known: list[str], hint: str) -> None:
    """The nearest right word if there is one near, else the first of them all."""
    assert nearest(word, known) == hint
