//! Sessions for those who speak the renderer's own protocol: as a stream of bytes.
//!
//! [`Session::into_io`](crate::Session::into_io) makes a stream of one session, for a runtime
//! that would otherwise talk to a renderer of its own. A [`Bridge`] is the same for a client
//! that may use many sessions, and what a server is built upon.

mod alarm;
mod answers;
mod bell;
mod bridge;
mod client;
mod control;
mod handshake_memory;
mod says;
mod stream;
mod tenant;
mod work;

pub use bridge::{Admission, Bridge, BridgeConfig, Gauge, Refusal};
pub use control::SessionControl;
pub use handshake_memory::HandshakeMemory;
pub use stream::SessionIo;
