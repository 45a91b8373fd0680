//! What is seen on standard error while sessions run.

use indicatif::{ProgressBar, ProgressStyle};

/// A moving line, on a terminal only; gone when dropped.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    pub(crate) fn of_clicks(each: u32, sessions: usize) -> Self {
        let clicks = u64::from(each).saturating_mul(sessions as u64);
        let style = ProgressStyle::with_template("{bar:40} {pos}/{len} clicks, {elapsed}")
            .expect("the template is well formed");
        Self(ProgressBar::new(clicks).with_style(style))
    }

    pub(crate) fn clicked(&self) {
        self.0.inc(1);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
