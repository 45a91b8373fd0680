//! Sessions with real windows, on the display that is there or on a headless one of their own.

#![allow(clippy::unwrap_used, reason = "to fail is how a test says it")]

mod closing;
mod crowd;
mod display;
mod displays;
mod effects;
mod flood;
mod focus;
mod hung;
mod orphans;
mod sessions;
mod spares;
#[path = "../scenarios/support.rs"]
#[allow(
    dead_code,
    unused_imports,
    unused_macros,
    reason = "shared with the scenarios that need no display"
)]
mod support;
