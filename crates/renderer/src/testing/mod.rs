//! For tests of what is built on this crate: a renderer in memory, and the suite that every
//! [`Connector`](crate::Connector) has to pass.

mod answers;
mod connector;
mod fake;

pub use connector::ConnectorSuite;
pub use fake::{FakeRenderer, Heard};
