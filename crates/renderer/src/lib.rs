//! One plushie renderer: finding it, starting it or connecting to it, shaking hands, moving
//! bytes, and seeing it off. The only crate of `plushie-pool` that starts processes or touches
//! a socket.
//!
//! ```
//! use plushie_pool_core::ErrorKind;
//! use plushie_pool_renderer::Discovery;
//!
//! // A renderer that was asked for by name is never replaced by another one.
//! let missing = Discovery::here().explicit("/no/such/renderer").find().unwrap_err();
//! assert_eq!(missing.kind(), ErrorKind::RendererNotFound);
//! println!("{missing}");
//! ```
//!
//! A [`Connector`] is the seam for how bytes reach a renderer: [`ChildProcess`] starts one,
//! [`Tcp`] and `UnixSocket` connect to one that listens, and a test may hand over pipes in
//! memory ([`Connection::new`]). [`Renderer::start`] does the rest. With the feature `testing`
//! there is a renderer in memory, and a suite that says whether a connector is right.

mod child;
mod config;
mod connector;
mod credential;
mod discovery;
mod display;
mod environment;
mod handshake;
mod home;
mod input;
#[cfg(unix)]
mod lent;
mod output;
#[cfg(target_os = "linux")]
mod parent_death;
pub mod patience;
#[cfg(unix)]
mod private;
mod process;
mod reader;
mod renderer;
mod shared;
mod socket;
mod stderr;
mod supervise;
mod tcp;
#[cfg(feature = "testing")]
pub mod testing;
mod turns;
mod variable;
mod wait;

pub use child::ChildProcess;
pub use config::{AppSettings, RendererConfig};
pub use connector::{Connection, Connector, Launch};
pub use credential::Credential;
pub use discovery::Discovery;
pub use display::{Display, Screen, ScreenProcess};
pub use environment::Environment;
pub use handshake::Hello;
pub use home::Home;
#[cfg(unix)]
pub use private::{PrivateDirectory, is_abandoned};
pub use process::{Grace, Process};
pub use reader::Reader;
pub use renderer::{End, Identity, Observer, Renderer};
#[cfg(unix)]
pub use socket::UnixSocket;
pub use socket::{Address, Tcp};
pub use stderr::StderrTail;
pub use tcp::notice_loss;
pub use variable::variable;
pub use wait::{Completed, Completion};
