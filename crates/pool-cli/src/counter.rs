//! The app that each session runs: a count, and a button that raises it.

use std::time::Duration;

use plushie_pool::{Session, SessionEvent, SessionId};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::failure::Failure;
use crate::screenshot::Screenshot;

/// Of the window. A display may give a real one another size.
const WIDTH: u32 = 400;
const HEIGHT: u32 = 300;

/// The app's side of one session: what the renderer should show, and the checks that it does.
pub(crate) struct Counter<'a> {
    session: &'a Session,
    count: u64,
    round_trips: u64,
}

impl<'a> Counter<'a> {
    pub(crate) fn new(session: &'a Session) -> Self {
        Self {
            session,
            count: 0,
            round_trips: 0,
        }
    }

    pub(crate) fn session(&self) -> SessionId {
        self.session.id()
    }

    /// Requests that were answered.
    pub(crate) fn round_trips(&self) -> u64 {
        self.round_trips
    }

    pub(crate) async fn show(&self) -> Result<(), Failure> {
        let tree = tree(self.session.id(), self.count);
        let snapshot = json!({"type": "snapshot", "tree": tree});
        Ok(self.session.send(&snapshot).await?)
    }

    /// Clicks the button, reacts to the event as an app does, and looks what became of it.
    pub(crate) async fn click(&mut self) -> Result<(), Failure> {
        let button = json!({"by": "id", "value": "increment"});
        let click = json!({"type": "interact", "action": "click", "selector": button});
        let Clicked { events } = self.ask(&click, "interact_response").await?;
        let is_click = |event: &Value| event["family"] == "click" && event["id"] == "increment";
        if !matches!(&events[..], [event] if is_click(event)) {
            let what = format!("events of click {}", self.count + 1);
            return Err(self.differs(what, "one click on increment", Value::from(events)));
        }

        self.count += 1;
        let patch = json!({"type": "patch", "ops": [{
            "op": "update_props",
            "path": COUNT_PATH,
            "props": {"content": self.count.to_string()},
        }]});
        self.session.send(&patch).await?;

        let count = json!({"by": "id", "value": "count"});
        let find = json!({"type": "query", "target": "find", "selector": count});
        let Found { data } = self.ask(&find, "query_response").await?;
        let expected = Value::from(self.count.to_string());
        let shown = &data["props"]["content"];
        if *shown != expected {
            let what = format!("count after click {}", self.count);
            return Err(self.differs(what, expected, shown));
        }
        Ok(())
    }

    /// Compares everything that the renderer has with everything it was told.
    pub(crate) async fn check_tree(&mut self) -> Result<(), Failure> {
        let query = json!({"type": "query", "target": "tree", "selector": {}});
        let Found { data } = self.ask(&query, "query_response").await?;
        let expected = tree(self.session.id(), self.count);
        if data != expected {
            return Err(self.differs("the tree at the end", expected, data));
        }
        Ok(())
    }

    /// Waits for the frame that shows what the renderer has by now. A window's screenshot is its
    /// last frame, without the texts that have changed since.
    pub(crate) async fn drawn(&self, patience: Duration) -> Result<(), Failure> {
        let frames = json!({"type": "subscribe", "kind": "on_animation_frame", "tag": "frame"});
        self.session.send(&frames).await?;
        let frame = timeout(patience, self.frame()).await;
        frame.map_err(|_| {
            let found = format!("drawn none in {patience:?}; is it hidden?");
            self.differs("the window", "a frame", found)
        })
    }

    async fn frame(&self) {
        // If the session ends instead, the next request says why.
        while let Some(event) = self.session.next_event().await {
            if let SessionEvent::Event(event) = event
                && event.family() == Some("animation_frame")
            {
                return;
            }
        }
    }

    pub(crate) async fn screenshot(&mut self) -> Result<Screenshot, Failure> {
        let name = self.session.id().to_string();
        let screenshot =
            json!({"type": "screenshot", "name": name, "width": WIDTH, "height": HEIGHT});
        let screenshot: Screenshot = self.ask(&screenshot, "screenshot_response").await?;
        if !screenshot.has_all_pixels() {
            return Err(self.differs("the screenshot", "a picture", screenshot));
        }
        Ok(screenshot)
    }

    async fn ask<T: DeserializeOwned>(&mut self, ask: &Value, reply: &str) -> Result<T, Failure> {
        let reply = self.session.request(ask, reply).await?;
        self.round_trips += 1;
        Ok(reply.decode()?)
    }

    fn differs(
        &self,
        what: impl Into<String>,
        expected: impl ToString,
        found: impl ToString,
    ) -> Failure {
        Failure::Differs {
            session: self.session.id(),
            what: what.into(),
            expected: expected.to_string(),
            found: found.to_string(),
        }
    }
}

#[derive(Deserialize)]
struct Clicked {
    events: Vec<Value>,
}

#[derive(Deserialize)]
struct Found {
    data: Value,
}

/// Where the count is in [`tree`].
const COUNT_PATH: [usize; 2] = [0, 1];

/// A window that says whose it is, so that one that shows another session's would be noticed.
fn tree(session: SessionId, count: u64) -> Value {
    let title = format!("Session {session}");
    let node = |id: &str, kind: &str, props: Value, children: Value| json!({"id": id, "type": kind, "props": props, "children": children});
    let heading = json!({"content": title, "size": 24});
    let number = json!({"content": count.to_string(), "size": 96});
    let button = json!({"label": "Click me", "padding": 12});
    let column = json!({
        "width": "fill", "height": "fill", "padding": 24, "spacing": 16, "align_x": "center",
    });
    let children = json!([
        node("heading", "text", heading, json!([])),
        node("count", "text", number, json!([])),
        node("increment", "button", button, json!([])),
    ]);
    let window = json!({"title": title, "width": WIDTH, "height": HEIGHT});
    node(
        "main",
        "window",
        window,
        json!([node("app", "column", column, children)]),
    )
}
