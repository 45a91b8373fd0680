//! Says whether an implementation of this crate's traits is right.
//!
//! Call it from a test of your own. It panics at the first property that does not hold, with a
//! message that names the implementation, the property, what was expected and what was found.
//! The suite for a `Connector` is in `plushie-pool-renderer`, which owns that trait.

mod checks;
mod harness;
mod hostile;
mod mode;
mod nesting;
mod random;
mod samples;
mod transport;
mod types;

pub use checks::Checks;
pub use hostile::Hostile;
pub use mode::mode;
pub use transport::{transport, transport_with};
