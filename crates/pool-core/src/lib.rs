//! The traits and state machines of `plushie-pool`, without I/O and without a clock.
//!
//! Whoever drives a state machine tells it what happened and what time it is, and carries out
//! what it decides. A [`Link`](link::Link) is one renderer's traffic, [`Slots`] are the pool's
//! places, a [`RestartBudget`] says when a renderer that died is replaced:
//!
//! ```
//! use plushie_pool_core::{ErrorKind, Slots};
//!
//! let mut slots = Slots::<()>::new(1);
//! slots.try_acquire()?;
//! assert_eq!(slots.try_acquire().unwrap_err().kind(), ErrorKind::PoolFull);
//! assert_eq!(slots.release(), None); // nobody waited for it
//! slots.try_acquire()?;
//! # Ok::<(), plushie_pool_core::Error>(())
//! ```
//!
//! The traits are what others implement: a [`Transport`] is a wire format, a [`Mode`] decides
//! which renderer serves a session. The suites in [`conformance`] say whether an
//! implementation is right.

mod anything;
mod binary;
pub mod conformance;
mod error;
mod forward;
pub mod framing;
mod id;
pub mod link;
mod message;
mod mode;
mod outline;
mod oversized;
mod probe;
mod readdress;
mod restart;
mod slots;
pub mod strict;
pub mod textual;
mod transport;

pub use anything::Anything;
pub use binary::Binary;
pub use error::{Error, ErrorKind, Exit, Origin, Phase};
pub use forward::Forwarded;
pub use id::{IdText, NotAnId, RendererId, RequestId, SessionId};
pub use message::{Message, decode_payload};
pub use mode::{Addressing, Close, Mode, Placement, RendererView, SessionRequest};
pub use outline::{Class, Outline};
pub use oversized::{Field, LONGEST_FIELD, NoMessage, Oversized, Skim};
pub use probe::probe;
pub use restart::{LONGEST_PAUSE, NextLaunch, RestartBudget, RestartPolicy};
pub use slots::{Acquired, Slots, Ticket};
pub use transport::{Envelope, FrameDecoder, Header, MAX_DEPTH, MAX_PAYLOAD, Read, Transport};
