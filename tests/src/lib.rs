//! The renderer's protocol as it is spoken by peers that do what no renderer would.
//!
//! None of the pool's own code is used here: where both ends are wrong in the same way, no test
//! would notice.

pub mod client;
pub mod font;
pub mod script;
pub mod wire;
