//! A plushie app under test: a real [`App`](plushie::App), run by plushie's own runtime in a
//! session of a [`SessionPool`](plushie_pool::SessionPool), while a test drives it as a user
//! would.
//!
//! ```no_run
//! use plushie::prelude::*;
//! use plushie_pool::{RendererMode, SessionPool};
//! use plushie_pool_app::AppSession;
//! use serde_json::{Value, json};
//!
//! # struct Counter(u64);
//! # impl App for Counter {
//! #     type Model = Self;
//! #     fn init() -> (Self, Command) { (Self(0), Command::none()) }
//! #     fn update(_: &mut Self, _: Event) -> Command { Command::none() }
//! #     fn view(_: &Self, _: &mut WidgetRegistrar) -> ViewList { window("main").into() }
//! # }
//! async fn it_counts() -> Result<(), plushie_pool::Error> {
//!     let pool = SessionPool::builder().mode(RendererMode::Mock).start().await?;
//!     let app = AppSession::start::<Counter>(&pool).await?;
//!
//!     let click = json!({
//!         "type": "interact", "action": "click", "selector": {"by": "id", "value": "increment"},
//!     });
//!     app.interact(&click).await?;
//!     app.interact(&click).await?;
//!
//!     let find = json!({
//!         "type": "query", "target": "find", "selector": {"by": "id", "value": "count"},
//!     });
//!     let found = app.control().request(&find, "query_response").await?;
//!     let found: Value = found.decode()?;
//!     assert_eq!(found["data"]["props"]["content"], "2");
//!     app.close().await
//! }
//! ```
//!
//! # When an app has reacted
//!
//! plushie's runtime for Rust (0.7.1) confirms nothing: an update that changes no tree is
//! followed by no message at all. So nobody could know whether it is done, and in the steps of an
//! interact, each of which the renderer wants answered with a tree, it would be waited for until
//! the pool's timeout for steps.
//!
//! Here each step, and the end of each [`interact`](AppSession::interact), is followed by a mark:
//! an `effect_response` that the runtime passes on to `update` in its turn, where a wrapper around
//! the app takes it, and returns a `command` that says so. The app sees nothing of this, nor does
//! the renderer. What the runtime does it does in order and on one thread, so when the mark comes
//! back, all that the events before it led to has come before. If that was no tree, the step is
//! answered with an empty patch; if it was several, one for each event of the step, with all of
//! them in one patch. Trees that the app shows for reasons of its own while an interact runs, at a
//! timer's tick, say, wait for that answer too, or the renderer would take one for the answer. No
//! time is measured for this.
//!
//! What an app does later is not waited for: tasks and timers, `Command::dispatch`, answers to
//! effects and queries. Ask until it is there, with [`settle`](AppSession::settle) before each
//! time: the runtime looks for finished tasks only when a message comes.
//!
//! # What is no error
//!
//! plushie's runtime survives a panic of `update` or `view`, and goes on with what the app showed
//! before: only standard error tells, so look at what is shown. An interact whose selector finds
//! nothing has a response without events, from the renderer itself.
//!
//! Works on Unix: plushie's runtime connects to a socket, and gets a private one.

#![cfg(unix)]

mod marked;
mod relay;
mod session;
mod steps;

pub use session::AppSession;
