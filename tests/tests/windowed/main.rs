//! Sessions with real windows, on the display that is there or on a headless one of their own.

mod display;
mod sessions;
#[path = "../scenarios/support.rs"]
#[allow(
    dead_code,
    unused_imports,
    reason = "shared with the scenarios that need no display"
)]
mod support;
