//! What is done, whoever does it.

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

/// A kind of work. One operation is what its doc comment says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// A query and its reply, of so many sessions at once, each with so many on their way.
    Query { sessions: usize, in_flight: usize },
    /// The life of a session, so many at once: snapshot of 20 nodes, query, close.
    Life { at_once: usize },
    /// A snapshot of so many nodes, and a query that shows it was taken.
    Snapshot { nodes: usize },
    /// A patch nobody waits for; a query after each hundred.
    Patches,
    /// An event that reaches the session's owner, of a hundred asked for at a time.
    Events,
    /// A picture of 1024x768.
    Screenshot,
}

/// How many patches or events go together.
pub(crate) const BURST: usize = 100;

impl Work {
    pub(crate) const ALL: [Self; 13] = [
        Self::queries(1, 1),
        Self::queries(8, 1),
        Self::queries(64, 1),
        Self::queries(512, 1),
        Self::queries(8, 16),
        Self::Life { at_once: 1 },
        Self::Life { at_once: 8 },
        Self::Snapshot { nodes: 20 },
        Self::Snapshot { nodes: 1_000 },
        Self::Snapshot { nodes: 10_000 },
        Self::Patches,
        Self::Events,
        Self::Screenshot,
    ];

    pub(crate) const fn queries(sessions: usize, in_flight: usize) -> Self {
        Self::Query {
            sessions,
            in_flight,
        }
    }

    pub(crate) fn name(self) -> String {
        match self {
            Self::Query {
                sessions: 1,
                in_flight: 1,
            } => "sequential".into(),
            Self::Query {
                sessions,
                in_flight: 1,
            } => format!("sessions-{sessions}"),
            Self::Query {
                sessions,
                in_flight,
            } => format!("pipelined-{sessions}x{in_flight}"),
            Self::Life { at_once } => format!("life-{at_once}"),
            Self::Snapshot { nodes } => format!("snapshot-{nodes}"),
            Self::Patches => "patches".into(),
            Self::Events => "events".into(),
            Self::Screenshot => "screenshot".into(),
        }
    }

    pub(crate) fn sessions(self) -> usize {
        match self {
            Self::Query { sessions, .. } => sessions,
            Self::Life { at_once } => at_once,
            _ => 1,
        }
    }

    pub(crate) fn in_flight(self) -> usize {
        match self {
            Self::Query { in_flight, .. } => in_flight,
            _ => 1,
        }
    }

    /// How many operations make a whole turn: a turn does a multiple of it.
    pub(crate) fn unit(self) -> usize {
        match self {
            Self::Query {
                sessions,
                in_flight,
            } => sessions * in_flight,
            Self::Life { at_once } => at_once,
            Self::Patches | Self::Events => BURST,
            Self::Snapshot { .. } | Self::Screenshot => 1,
        }
    }

    /// Whether the sessions are there before, and shown a tree.
    pub(crate) fn keeps_sessions(self) -> bool {
        !matches!(self, Self::Life { .. })
    }
}

/// A message, as entries of a map.
pub(crate) trait Entries: Sync {
    const COUNT: usize;

    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error>;
}

/// A message by itself, as the pool is given it.
pub(crate) struct Bare<'a, T>(pub(crate) &'a T);

impl<T: Entries> Serialize for Bare<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(T::COUNT))?;
        self.0.write(&mut map)?;
        map.end()
    }
}

/// A message whose only entries are these.
macro_rules! message {
    ($(#[$doc:meta])* $name:ident { $($key:literal: $value:expr),* $(,)? }) => {
        $(#[$doc])*
        pub(crate) struct $name;

        impl Entries for $name {
            const COUNT: usize = [$($key),*].len();

            fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
                $(map.serialize_entry($key, &$value)?;)*
                Ok(())
            }
        }
    };
}

message! {
    /// A query that finds one node.
    Query {
        "type": "query",
        "target": "find",
        "selector": Selector { by: "id", value: "n1" },
    }
}

message! {
    /// A picture of the session's window.
    Screenshot {
        "type": "screenshot",
        "name": "bench",
        "width": 1024,
        "height": 768,
    }
}

message! {
    /// Ends a session.
    Reset { "type": "reset" }
}

message! {
    /// A change of one text.
    Patch {
        "type": "patch",
        "ops": [Update {
            op: "update_props",
            path: [0, 1],
            props: Props { content: "another text" },
        }],
    }
}

message! {
    /// What has a renderer say something that answers no request: it reaches the session's
    /// owner as an event does.
    Trigger {
        "type": "widget_op",
        "op": "find_focused",
        "payload": Tag { tag: "t" },
    }
}

/// What begins a conversation.
pub(crate) fn settings() -> impl Serialize {
    #[derive(Serialize)]
    struct Settings {
        r#type: &'static str,
        session: &'static str,
        settings: Version,
    }
    #[derive(Serialize)]
    struct Version {
        protocol_version: u32,
    }
    Settings {
        r#type: "settings",
        session: "",
        settings: Version {
            protocol_version: 1,
        },
    }
}

/// How many bytes the pixels of a [`Screenshot`] take.
pub(crate) const PIXELS: usize = 1024 * 768 * 4;

#[derive(Serialize)]
struct Selector {
    by: &'static str,
    value: &'static str,
}

#[derive(Serialize)]
struct Update {
    op: &'static str,
    path: [usize; 2],
    props: Props,
}

#[derive(Serialize)]
struct Tag {
    tag: &'static str,
}

/// A tree: a window, a column, and texts.
pub(crate) struct Snapshot {
    tree: Node,
}

#[derive(Serialize)]
struct Node {
    id: String,
    r#type: &'static str,
    props: Props,
    children: Vec<Node>,
}

#[derive(Serialize)]
struct Props {
    content: &'static str,
}

impl Snapshot {
    pub(crate) fn new(nodes: usize) -> Self {
        let node = |id: String, r#type, children| Node {
            id,
            r#type,
            props: Props {
                content: "some text to be shown",
            },
            children,
        };
        let texts = (0..nodes.saturating_sub(2)).map(|n| node(format!("n{n}"), "text", Vec::new()));
        let column = node("column".into(), "column", texts.collect());
        Self {
            tree: node("main".into(), "window", vec![column]),
        }
    }
}

impl Entries for Snapshot {
    const COUNT: usize = 2;

    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        map.serialize_entry("type", "snapshot")?;
        map.serialize_entry("tree", &self.tree)
    }
}
