"""The Python SDK on a pool behind a socket, in headless mode:

plushie-pool run --mode headless --max-sessions 4 -- python -m pytest tests/python
"""

import json
import os
import signal
import socket
import subprocess
import threading
from contextlib import ExitStack
from dataclasses import dataclass, replace

import pytest
from plushie import App, ui
from plushie.connection import Connection, ConnectionError
from plushie.events import Click, Input, SessionError
from plushie.testing import AppFixture
from plushie.testing.pool import SessionPool
from plushie.transport import IoStreamAdapter
from served import ServedAdapter, connect


def node(id, type, children=(), **props):
    return {"id": id, "type": type, "props": props, "children": list(children)}


def tree(count, name=""):
    children = [
        # First, so that where to click for the focus does not depend on a font.
        node("name", "text_input", value=name),
        node("count", "text", content=str(count)),
        node("increment", "button", label="+"),
    ]
    return node("main", "window", [node("root", "column", children)])


@dataclass(frozen=True)
class Model:
    count: int = 0
    name: str = ""


class Counter(App[Model]):
    def init(self):
        return Model()

    def update(self, model, event):
        match event:
            case Click(id="increment"):
                return replace(model, count=model.count + 1)
            case Input(id="name", value=name):
                return replace(model, name=name)
        return model

    def view(self, model):
        return ui.window(
            "main",
            ui.column(
                ui.button("increment", "+"),
                ui.text("count", f"{model.count} {model.name}"),
                ui.text_input("name", model.name, on_input=True),
            ),
        )


def test_a_connection_speaks_with_a_session():
    with connect() as connection:
        connection.send_snapshot(tree(0))
        assert connection.query_find("#count")["props"]["content"] == "0"

        [click] = connection.interact("click", "#increment")
        assert isinstance(click, Click) and click.id == "increment"
        connection.send_patch(
            [{"op": "update_props", "path": [0, 1], "props": {"content": "1"}}]
        )
        assert connection.query_find("#count")["props"]["content"] == "1"

        typed = []

        def on_step(events):
            typed.append(events[0].value)
            return tree(1, typed[-1])

        # Into what has the focus, a letter at a time.
        connection.interact("move_to", payload={"x": 5, "y": 5})
        connection.interact("click")
        connection.interact("type_text", payload={"text": "ab"}, on_step=on_step)
        assert typed == ["a", "ab"]
        assert connection.query_find("#name")["props"]["value"] == "ab"
        assert connection.query_tree()["id"] == "main"

        picture = connection.take_screenshot("counter", width=200, height=100)
        assert (picture["width"], picture["height"]) == (200, 100)
        assert len(picture["rgba"]) == 200 * 100 * 4
        assert len(set(picture["rgba"])) > 1, "something was drawn"


def test_an_app_runs_in_the_fixture_of_the_sdk(plushie_pool):
    with AppFixture(Counter, plushie_pool) as app:
        app.click("#increment")
        app.click("#increment")
        app.type_text("#name", "Ada")
        assert app.model == Model(2, "Ada")
        app.assert_text("#count", "2 Ada")


def test_the_pool_of_the_sdk_starts_what_leads_to_the_served_pool():
    pool = SessionPool(mode="headless", max_sessions=2)
    pool.start()
    try:
        assert pool._conn.hello.transport == "listen", "it is the served one"
        with AppFixture(Counter, pool) as app:
            app.click("#increment")
            app.assert_text("#count", "1 ")
            assert app._pool.screenshot(app._session_id, "shot")["rgba"]
    finally:
        pool.stop()


def test_the_sessions_of_one_connection_are_apart(plushie_pool):
    with AppFixture(Counter, plushie_pool) as one, AppFixture(Counter, plushie_pool) as other:
        one.click("#increment")
        one.assert_text("#count", "1 ")
        other.assert_text("#count", "0 ")


def test_a_closed_connection_gives_its_session_back():
    # Were one kept, the pool would be full before the end.
    for _ in range(3 * int(os.environ["PLUSHIE_TEST_MAX_SESSIONS"])):
        with connect() as connection:
            connection.send_snapshot(tree(0))
            assert connection.query_find("#count")


def test_a_session_waits_for_a_place_that_is_held_for_seconds():
    """The SDK reads no diagnostic of a kind that the renderer does not have."""
    with ExitStack() as held, ExitStack() as waiting:
        for _ in range(int(os.environ["PLUSHIE_TEST_MAX_SESSIONS"])):
            connection = held.enter_context(connect())
            connection.send_snapshot(tree(0))
            assert connection.query_find("#count")

        # The time is the point: the places are taken for 4 s.
        release = threading.Timer(4, held.close)
        waiting.callback(release.join)
        release.start()
        connection = waiting.enter_context(connect())
        connection.send_snapshot(tree(1))
        found = connection.query_find("#count", timeout=60)
        assert found["props"]["content"] == "1"
        release.join()
        # What reads for this connection still does.
        connection.session = "other"
        connection.send_snapshot(tree(2))
        assert connection.query_find("#count")["props"]["content"] == "2"


def test_a_renderer_that_dies_in_an_interact_ends_that_session_only():
    with connect() as connection:
        connection.session = "typed into"
        connection.send_snapshot(tree(0))
        connection.interact("move_to", payload={"x": 5, "y": 5})
        connection.interact("click")

        def kill_the_renderer(events):
            for pid in renderers():
                os.kill(pid, signal.SIGKILL)
            return tree(0)

        # The SDK waits for the end of an interact until its time is over.
        with pytest.raises(ConnectionError):
            connection.interact(
                "type_text", payload={"text": "ab"}, on_step=kill_the_renderer, timeout=2
            )
        while not isinstance(event := connection.receive_event(timeout=60), SessionError):
            assert event is not None, "the end of the session is told"
        assert event.session == "typed into"

        connection.session = "after"
        connection.send_snapshot(tree(1))
        assert connection.query_find("#count", timeout=60)["props"]["content"] == "1"


def renderers():
    """The processes that the pool runs on."""
    # The tests are the command of `plushie-pool run`.
    pool = os.readlink(f"/proc/{os.getppid()}/exe")
    status = json.loads(subprocess.check_output([pool, "status", "--json"]))
    return [renderer["pid"] for renderer in status["pool"]["renderers"]]


def test_a_wrong_token_is_refused():
    connection = Connection.from_iostream(ServedAdapter(), token="not the pool's")
    with connection:
        connection.send_settings()
        while (heard := connection.receive_event(timeout=30)) is not None:
            if "token" in str(heard):
                break
        assert heard is not None, "the end came without a word"


def test_the_reader_of_the_sdk_waits_for_a_full_block():
    """Why there is an adapter here; when this fails, an SDK came that needs none."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        adapter = IoStreamAdapter(theirs.makefile("rb"), theirs.makefile("wb"), format="json")
        ours.sendall(b'{"type":"event","family":"click","id":"a"}\n')
        assert adapter.receive_event(timeout=0.5) is None
        ours.shutdown(socket.SHUT_WR)
        assert adapter.receive_event(timeout=30) is not None
