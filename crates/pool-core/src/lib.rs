//! The traits and state machines of `plushie-pool`, without I/O and without a clock.

mod binary;
pub mod conformance;
mod error;
pub mod framing;
mod id;
pub mod link;
mod message;
mod mode;
mod outline;
mod readdress;
mod restart;
mod slots;
pub mod strict;
pub mod textual;
mod transport;

pub use binary::Binary;
pub use error::{Error, ErrorKind, Exit, Origin, Phase};
pub use id::{NotAnId, RendererId, RequestId, SessionId};
pub use message::{Message, decode_payload};
pub use mode::{Addressing, Close, Mode, Placement, RendererView};
pub use outline::{Class, Outline};
pub use restart::{RestartBudget, RestartPolicy};
pub use slots::{Acquired, Slots, Ticket};
pub use transport::{Envelope, FrameDecoder, Header, MAX_DEPTH, MAX_PAYLOAD, Read, Transport};
