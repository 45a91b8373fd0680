//! Length-prefixed MessagePack, a wire format of `plushie-pool`.
//!
//! ```
//! use plushie_pool_core::{Header, Transport};
//! use plushie_pool_transport_msgpack::Msgpack;
//!
//! let header = Header { session: "s1", id: None };
//! let frame = Msgpack.encode(header, &[("type", "query")].into_iter().collect::<Map>())?;
//! assert_eq!(frame, &b"\0\0\0\x17\x82\xa7session\xa2s1\xa4type\xa5query"[..]);
//! # type Map = std::collections::BTreeMap<&'static str, &'static str>;
//! # Ok::<(), plushie_pool_core::Error>(())
//! ```

mod encode;
mod envelope;
mod scan;
mod skim;
mod tolerant;
mod transport;

pub use encode::encode;
pub use tolerant::{Tolerant, splice};
pub use transport::Msgpack;
