//! JSON lines, a wire format of `plushie-pool`: one object a line.
//!
//! ```
//! use plushie_pool_core::{Header, Transport};
//! use plushie_pool_transport_json::Json;
//!
//! let header = Header { session: "s1", id: Some("~1") };
//! let frame = Json.encode(header, &[("type", "query")].into_iter().collect::<Map>())?;
//! assert_eq!(frame, "{\"session\":\"s1\",\"id\":\"~1\",\"type\":\"query\"}\n");
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
pub use tolerant::Tolerant;
pub use transport::Json;
