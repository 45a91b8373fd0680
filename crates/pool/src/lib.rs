//! Cheap, isolated test sessions on the real plushie renderer.
//!
//! A renderer process is expensive, a session inside it is cheap. A [`SessionPool`] starts the
//! renderer once and runs many logical [`Session`]s over it, or, where a renderer can show only
//! one live app, keeps one process for each session. The test does not see the difference.
//!
//! ```standalone_crate
//! use plushie_pool::{RendererMode, SessionPool, WireFormat};
//! use serde_json::{Value, json};
//!
//! async fn a_label_is_found() -> Result<(), plushie_pool::Error> {
//!     let pool = SessionPool::builder()
//!         .mode(RendererMode::Mock)
//!         .format(WireFormat::Msgpack)
//!         .max_sessions(8)
//! #       .renderer(std::env::current_exe().expect("it is running"))
//!         .start()
//!         .await?;
//!
//!     let session = pool.register().await?;
//!     let tree = json!({"id": "main", "type": "window", "props": {}, "children": [
//!         {"id": "label", "type": "text", "props": {"content": "hello"}, "children": []},
//!     ]});
//!     session.send(&json!({"type": "snapshot", "tree": tree})).await?;
//!
//!     let query = json!({
//!         "type": "query", "target": "find", "selector": {"by": "id", "value": "label"},
//!     });
//!     let reply: Value = session.request(&query, "query_response").await?.decode()?;
//!     assert_eq!(reply["data"]["props"]["content"], "hello");
//!
//!     session.unregister().await?;
//!     pool.shutdown().await
//! }
//!
//! fn main() {
//! #   // The renderer this example starts is the example itself.
//! #   if std::env::args().any(|arg| arg == "--mock") {
//! #       let app = plushie_widget_sdk::app::PlushieAppBuilder::new();
//! #       return plushie_renderer::run(app).expect("the renderer runs");
//! #   }
//!     // Any executor will do: the pool has an I/O thread of its own.
//!     futures::executor::block_on(a_label_is_found()).unwrap();
//! }
//! ```
//!
//! # What it promises
//!
//! - Every request ends exactly once: with its reply, an [`Error`] that says what happened, or
//!   a timeout.
//! - What goes wrong in one session stays there. When a renderer dies, its sessions are told
//!   at once, with its exit status and the last lines of its stderr.
//! - A session's place is given back however it ends: [`Session::unregister`], drop, panic,
//!   a cancelled task.
//! - No renderer outlives its pool, nor the process the pool is in, however that ends.
//! - A pool belongs to no runtime: it may be made in one test and used in the next, kept in a
//!   `static`, or used without async, see the feature `blocking`.
//! - Whatever would talk to a renderer of its own can run on a session, as a stream
//!   ([`Session::into_io`]) or through a server (the crate `plushie-pool-server` and the command
//!   `plushie-pool run`), whose sessions [`SessionPool::shared`] uses where there is one.
//!
//! # Features
//!
//! | feature | what it compiles in |
//! |---|---|
//! | `multiplexed` (default) | [`RendererMode::Mock`] and [`RendererMode::Headless`] |
//! | `windowed` (default) | [`RendererMode::Windowed`] |
//! | `msgpack` (default) | [`WireFormat::Msgpack`] |
//! | `json` (default) | [`WireFormat::Json`] |
//! | `blocking` | the module `blocking`: the same API without async |
//! | `testing` | the module `testing`: a renderer in memory, and suites for transports, modes and connectors |
//!
//! Features decide what is compiled in, never what runs: to choose what is not compiled in is
//! an error that names the feature and what there is. (The default format is MessagePack, or
//! JSON where that is the only one there is.) With no features at all a pool runs with a [`Mode`], a
//! [`Transport`] and a [`Connector`] of one's own: see [`Builder::custom_mode`],
//! [`Builder::transport`], [`Builder::connector`].
//!
#![doc = include_str!("../docs/protocol.md")]
//! # Binary data
//!
//! A field of type [`Binary`] goes out as `bin` in MessagePack and as base64 in JSON, and comes
//! back the same way; so the same test passes on both:
//!
//! ```
//! use plushie_pool::Binary;
//!
//! #[derive(serde::Deserialize)]
//! struct Screenshot {
//!     width: u32,
//!     height: u32,
//!     #[serde(default)] // mock draws nothing
//!     rgba: Binary,
//! }
//! ```
//!
//! # Known limits of the renderer
//!
//! - It loads 256 fonts in its life, for all its sessions together, and the same font again counts
//!   again: those of `settings`, of `load_font` and of the `widget_op` of that name. The pool
//!   counts them, and gives new sessions a fresh renderer in time. Sessions that are open together
//!   on one renderer and load more than 64 by messages may still be refused one
//!   (`font_cap_exceeded`). Fonts of one session are there for the others on its renderer.
//! - It remembers 1,024 names of font families; further ones are drawn in its default font until
//!   the renderer is [replaced](Builder::recycle_after).
//!
//! # Where the renderer comes from
//!
//! `cargo install plushie-renderer --version 0.7.1` is one way to have one. It is looked for in
//! `PLUSHIE_BINARY_PATH`, then in what `cargo plushie build` and `cargo plushie download` leave in
//! the target directory, in `bin/` and in `PATH`; [`Builder::renderer`] names one.

#[cfg(feature = "blocking")]
pub mod blocking;
mod builder;
mod choice;
mod clipboard;
mod connected;
mod effects;
mod engine;
mod fleet;
mod fonts;
pub mod io;
mod io_thread;
mod pool;
mod pools;
mod registry;
mod request;
mod session;
mod spares;
mod status;
#[cfg(feature = "testing")]
pub mod testing;

pub use builder::Builder;
pub use choice::{RendererMode, WireFormat};
pub use io::{SessionControl, SessionIo};
pub use pool::SessionPool;
pub use pools::PoolSet;
pub use request::{Request, SendInteract, SendMessage};
pub use session::{Events, Session};
pub use status::{BackoffStatus, DisplayStatus, RendererStatus, Status};

pub use plushie_pool_core as core;
pub use plushie_pool_core::link::{LinkCounters, SessionEvent};
pub use plushie_pool_core::{
    Binary, Error, ErrorKind, Exit, Message, Mode, Origin, Phase, RendererId, RequestId,
    RestartPolicy, SessionId, SessionRequest, Transport,
};
#[cfg(unix)]
pub use plushie_pool_renderer::UnixSocket;
pub use plushie_pool_renderer::{
    Address, ChildProcess, Connection, Connector, Credential, Display, Grace, Launch, Reader, Tcp,
};
