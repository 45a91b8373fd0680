//! What renderers show their windows on: a display that is there, or one of the pool's own.

mod choice;
#[cfg(all(unix, feature = "focus"))]
mod focus;
mod janitor;
mod reach;
mod screen;
mod search;
mod server;

pub use choice::Display;
pub use screen::{Screen, ScreenProcess};
pub(crate) use server::Server;
