//! Whether each display that windows could be shown on works, and gives them the input focus.

use std::env;
use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

use plushie_pool::{Display, RendererMode, SessionPool};
use plushie_pool_renderer::Screen;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::renderer;

/// A display that is there or can be started.
pub(crate) struct DisplayCheck {
    display: Display,
    time: Duration,
    outcome: Result<Focus, Failure>,
}

/// Whether a new window gets the input focus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Focus {
    Given,
    NotGiven,
    /// That is up to the window manager of a display that the pool does not start.
    Unknown,
}

impl DisplayCheck {
    /// Tries each that is there or installed, for renderers from this path.
    pub(crate) async fn all(renderer: Option<&Path>) -> Vec<Self> {
        let mut checks = Vec::new();
        for display in [Display::Inherit, Display::Weston, Display::Xvfb] {
            if Screen::find(display, |name| env::var_os(name)).is_ok() {
                let start = Instant::now();
                let outcome = try_out(renderer, display).await;
                checks.push(Self {
                    display,
                    time: start.elapsed(),
                    outcome,
                });
            }
        }
        checks
    }

    pub(crate) fn failure(&self) -> Option<&Failure> {
        self.outcome.as_ref().err()
    }

    pub(crate) fn to_json(&self) -> Value {
        let mut check = json!({
            "display": self.display.to_string(),
            "ok": self.outcome.is_ok(),
            "ms": (self.time.as_secs_f64() * 1_000_000.0).round() / 1_000.0,
        });
        match &self.outcome {
            Ok(Focus::Given) => check["gives_focus"] = true.into(),
            Ok(Focus::NotGiven) => check["gives_focus"] = false.into(),
            Ok(Focus::Unknown) => check["gives_focus"] = Value::Null,
            Err(failure) => check["error"] = failure.to_string().into(),
        }
        check
    }

    /// What to do if windows get no focus on one of these.
    pub(crate) fn advice(checks: &[Self]) -> Option<String> {
        let given = |wanted| {
            let found = checks
                .iter()
                .find(|check| check.outcome.as_ref().is_ok_and(|focus| *focus == wanted));
            found.map(|check| check.display)
        };
        let without = given(Focus::NotGiven)?;
        let advice = match given(Focus::Given) {
            Some(with) => format!("{with} gives it"),
            None => "Xvfb gives it, and so does a weston that knows --fake-seat".to_owned(),
        };
        Some(format!(
            "note: on {without} no window gets the input focus (no `window_focused`); {advice}"
        ))
    }
}

async fn try_out(renderer: Option<&Path>, display: Display) -> Result<Focus, Failure> {
    let pool = SessionPool::builder()
        .with_env()
        .mode(RendererMode::Windowed)
        .display(display);
    let pool = renderer::choose(pool, renderer)?.start().await?;
    let focus = match pool.status().display {
        Some(display) if display.gives_focus => Focus::Given,
        Some(_) => Focus::NotGiven,
        None => Focus::Unknown,
    };
    pool.shutdown().await?;
    Ok(focus)
}

/// A row of the table.
impl fmt::Display for DisplayCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.time.as_secs_f64() * 1_000.0;
        let outcome = match &self.outcome {
            Ok(Focus::Given) => "ok, a new window gets the focus",
            Ok(Focus::NotGiven) => "ok, but no window gets the focus",
            Ok(Focus::Unknown) => "ok, its window manager gives the focus",
            Err(_) => "FAILED",
        };
        let name = self.display.to_string();
        write!(f, "{:<8}  {name:<7}  {ms:>7.1} ms  {outcome}", "display")
    }
}
