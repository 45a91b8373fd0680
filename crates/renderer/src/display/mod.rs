//! What renderers show their windows on: a display that is there, or one of the pool's own.

mod choice;
mod janitor;
mod screen;
mod search;
mod server;

pub use choice::Display;
pub use screen::Screen;
pub(crate) use server::Server;
