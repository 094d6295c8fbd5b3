"""Templates give text, or one mistake with its line; nothing that they do reaches further or grows without end."""

import contextlib
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfheal.base.errors import ConfigError
from tfheal.edge.templates import MAX_OUTPUT, JinjaTemplates

VALUES = {
    "app": "site",
    "settings": {"port": 80, "title": "Hello", "nothing": None},
    "peers": {"db": ["::1", "::2"]},
    "secrets": {"admin": "⟦secret:admin:1⟧"},
}
ENGINE = JinjaTemplates()


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("", ""),
        ("as it is\n\n", "as it is\n\n"),
        ("{{ app }}:{{ settings.port }}\n", "site:80\n"),
        ("{{ settings['title'] }} {{ settings.port + 1 }} {{ settings.port * 2 }}", "Hello 81 160"),
        ("{% for peer in peers.db %}{{ loop.index }}={{ peer }} {% endfor %}", "1=::1 2=::2 "),
        ("{{ peers.db | join(',') }} {{ peers.db[0] }} {{ peers.db | length }}", "::1,::2 ::1 2"),
        ("{{ secrets.admin }}", "⟦secret:admin:1⟧"),
        ("<{{ '<&>' }}>", "<<&>>"),
        ("{% raw %}{{ kept }}{% endraw %}", "{{ kept }}"),
        ("{{ '[%s]' % app if ':' in peers.db[0] else app }}", "[site]"),
        ("{% for n in range(3) %}{{ n }}{% endfor %}", "012"),
        ("{% if settings.nothing is none %}unset{% endif %}", "unset"),
        ("{{ settings.nothing or 'default' }}", "default"),
        ("{{ missing | default('x') }}", "x"),
    ],
)
def test_templates_give_text(source: str, text: str) -> None:
    """What is written is what comes out: no escaping, the last line end kept."""
    assert ENGINE.render(source, VALUES, "x") == text


@pytest.mark.parametrize(
    ("source", "line", "what"),
    [
        ("a\n{{ nobody }}", 2, "uses nobody, which is not defined"),
        ("a\nb\n{{ settings.prt }}", 3, "uses prt, which is not defined"),
        ("{{ settings.nothing }}", 1, "uses a value that is not set"),
        ("\n{{ peers.db }}", 2, "a list cannot be printed"),
        ("{{ settings }}", 1, "a dict cannot be printed"),
        ("{{ settings.items }}", 1, "cannot be printed"),
        ("a\n{{ app }", 2, "is not a valid template"),
        ("{% if app %}", 1, "is not a valid template"),
        ("a\n{{ app | nothing }}", 2, "No filter named 'nothing'"),
        ("{{ app + 1 }}", 1, "cannot be rendered"),
        ("{{ 1 / 0 }}", 1, "division by zero"),
        ("{% include 'x' %}", 1, "cannot be rendered"),
        ("{% import 'x' as y %}", 1, "cannot be rendered"),
        ("{% extends 'x' %}", 1, "cannot be rendered"),
        ("${#array} {# never closed", 1, "is not a valid template"),
        ("{{ app.__class__ }}", 1, "does what templates may not do"),
        ("{{ ''.__class__.__mro__[1].__subclasses__() }}", 1, "does what templates may not do"),
        ("{{ self.__init__.__globals__ }}", 1, "does what templates may not do"),
        ("{{ app.format(1) }}", 1, "does what templates may not do"),
        ("{{ lipsum() }}", 1, "uses lipsum, which is not defined"),
        ("{{ '%s' % app * 10000000 }}", 1, "could grow too large"),
        ("{{ [1] * 10000000 }}", 1, "could grow too large"),
        ("{{ 9 ** 9 ** 9 }}", 1, "could grow too large"),
        ("{{ '%9999999d' % 1 }}", 1, "could grow too large"),
        ("{{ '%*d' % (99999999, 1) }}", 1, "could grow too large"),
        ("{{ app.ljust(99999999) }}", 1, "does what templates may not do"),
        ("{{ app | center(99999999) }}", 1, "No filter named 'center'"),
        ("{% for n in range(99999999) %}{% endfor %}", 1, "more than 10000 steps"),
        ("{% for n in range(5000) %}{% for m in range(5000) %}x{% endfor %}{% endfor %}", 1, "more than 10000 steps"),
        ("{{ " + "(" * 5_000 + "1" + ")" * 5_000 + " }}", 1, "nested too deeply"),
    ],
)
def test_what_goes_wrong_is_one_mistake_with_its_line(source: str, line: int, what: str) -> None:
    """Every error of a template, and every trick, becomes our own error that names the file and the line."""
    with pytest.raises(ConfigError) as caught:
        ENGINE.render(source, VALUES, "web.conf.j2")
    (mistake,) = caught.value.mistakes
    assert (mistake.file, mistake.line) == ("web.conf.j2", line)
    assert what in mistake.what


def test_output_has_a_limit() -> None:
    """A template cannot write more than its limit, however it does it."""
    text = "x" * 1_000
    with pytest.raises(ConfigError, match="1 mistake"):
        ENGINE.render("{% for n in range(9999) %}{{ text }}{% endfor %}", {"text": text}, "x")
    assert len(ENGINE.render("{% for n in range(900) %}{{ text }}{% endfor %}", {"text": text}, "x")) < MAX_OUTPUT


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("no names", ()),
        ("{{ app }} {{ app }}\n{{ app }}", (("app", 1), ("app", 2))),
        ("{{ settings.port }}{{ settings['title'] }}", (("settings.port", 1), ("settings.title", 1))),
        ("{% if false %}\n{{ secrets.x }}{% endif %}", (("secrets.x", 2),)),
        ("{% for peer in peers.db %}{{ peer }}{{ loop.index }}{% endfor %}", (("peers.db", 1),)),
        ("{% set mine = app %}{{ mine.upper() }}{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1) }}", (("app", 1),)),
        ("{{ settings[key] }}", (("settings", 1), ("key", 1))),
        ("{% for n in range(3) %}{{ n }}{% endfor %}", ()),
        ("{{ app.upper() }}", (("app.upper", 1),)),
    ],
)
def test_the_names_that_a_template_uses(source: str, names: tuple[tuple[str, int], ...]) -> None:
    """Every name is found with its line, taken branch or not; what the template itself names is left out."""
    assert sorted(ENGINE.names(source, "x")) == sorted(names)


@given(st.text(st.sampled_from(list("{}%#ab.|()[]'\"+-*/~=<>, \n123")), max_size=40))
def test_any_text_gives_text_or_our_error(source: str) -> None:
    """Nothing written in a template raises anything but our own error."""
    for attempt in (lambda: ENGINE.render(source, VALUES, "x"), lambda: ENGINE.names(source, "x")):
        with contextlib.suppress(ConfigError):
            attempt()


def test_threads_share_the_engine() -> None:
    """Many threads render with one engine, each with its own budget."""
    source = "{% for n in range(900) %}{{ text }}{% endfor %}"
    with ThreadPoolExecutor(8) as pool:
        texts = list(pool.map(lambda number: ENGINE.render(source, {"text": str(number)}, "x"), range(40)))
    assert texts == [str(number) * 900 for number in range(40)]
