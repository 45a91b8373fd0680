//! (docs come last)

mod child;
mod config;
mod connector;
mod discovery;
mod environment;
mod handshake;
mod output;
mod process;
mod renderer;
mod socket;
mod stderr;
mod supervise;

pub use child::ChildProcess;
pub use config::{AppSettings, RendererConfig};
pub use connector::{Connection, Connector, Credential, Launch};
pub use discovery::Discovery;
pub use environment::Environment;
pub use handshake::Hello;
pub use process::{Grace, Process};
pub use renderer::{Completion, End, Identity, Observer, Renderer};
#[cfg(unix)]
pub use socket::UnixSocket;
pub use socket::{Address, Tcp};
pub use stderr::StderrTail;
