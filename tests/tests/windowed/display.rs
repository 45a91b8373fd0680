//! Which displays this machine can have.

use std::env;
use std::io::Write;

use plushie_pool::{Builder, Display, SessionPool};
use plushie_pool_renderer::Screen;

/// Set to 1, a missing display fails the tests instead of skipping them.
const REQUIRE: &str = "PLUSHIE_POOL_REQUIRE_DISPLAY";

/// Starts a pool with windows, or says loudly that the test is skipped for want of a display.
pub(crate) async fn start(pool: Builder) -> Option<SessionPool> {
    if let Err(missing) = Screen::find(Display::Auto, |name| env::var_os(name)) {
        assert!(env::var(REQUIRE).as_deref() != Ok("1"), "{missing}");
        skip("a windowed test", &missing);
        return None;
    }
    Some(pool.start().await.expect("the display is there"))
}

/// The displays that a pool can start for itself here.
pub(crate) fn own() -> Vec<Display> {
    let there = |display: &Display| {
        let found = Screen::find(*display, |name| env::var_os(name));
        let part = format!("what a windowed test does on {display}");
        found.inspect_err(|missing| skip(&part, missing)).is_ok()
    };
    [Display::Weston, Display::Xvfb]
        .into_iter()
        .filter(there)
        .collect()
}

/// Says loudly that part of a test is skipped.
pub(crate) fn note_skipped(what: &str, why: &str) {
    writeln!(std::io::stderr(), "SKIPPED {what}: {why}").expect("it can be said");
}

/// Past the test harness, which keeps what a passing test prints to itself.
fn skip(what: &str, missing: &plushie_pool::Error) {
    writeln!(std::io::stderr(), "SKIPPED {what}: {missing}").expect("it can be said");
}
