//! A link between a scripted owner and a scripted renderer, on a virtual clock; one file a
//! hazard.

mod addressing;
mod backpressure;
mod close;
mod complaints;
mod correlation;
mod credit;
mod deadlines;
mod events;
mod failure;
mod interact;
mod rig;

/// Shared with the integration tests, which know this crate by another name.
#[path = "../../tests/support/json.rs"]
mod json;
use crate as pool_core;
