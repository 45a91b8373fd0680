//! Says whether an implementation of this crate's traits is right.
//!
//! Call it from a test of your own. It panics at the first thing that is wrong, with a
//! message that names the implementation and what it should have done.

mod harness;
mod mode;
mod samples;
mod transport;

pub use mode::mode;
pub use transport::transport;
