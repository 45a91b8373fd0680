//! Says which property of which implementation does not hold.

use std::any::Any;
use std::cell::Cell;
use std::fmt::{self, Display};
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

/// Checks the properties of one implementation, one after another. The suites of this project
/// are written with it, and so may others be.
///
/// ```should_panic
/// use plushie_pool_core::conformance::Checks;
///
/// let checks = Checks::new("list \"mine\"");
/// checks.property("a new list is empty", || {
///     let new = vec![1];
///     checks.expect(new.is_empty(), "no element", format_args!("{new:?}"));
/// });
/// // list "mine": property "a new list is empty" does not hold: expected no element, got [1]
/// ```
#[derive(Debug)]
pub struct Checks {
    subject: String,
    property: Cell<&'static str>,
}

/// After how long without a decision the property is named on stderr, in case the
/// implementation never returns.
const SLOW: Duration = Duration::from_secs(60);

impl Checks {
    /// Checks of what is called `subject` in the message of a failure.
    pub fn new(subject: impl Into<String>) -> Self {
        Self {
            subject: subject.into(),
            property: Cell::new(""),
        }
    }

    /// Names what is checked from here on.
    pub fn begin(&self, property: &'static str) {
        self.property.set(property);
    }

    /// Checks one property.
    ///
    /// # Panics
    ///
    /// If it does not hold, or if the implementation panics, with the name of the property.
    pub fn property(&self, property: &'static str, check: impl FnOnce()) {
        self.begin(property);
        let checked = {
            let _slow = self.name_if_slow();
            catch_unwind(AssertUnwindSafe(check))
        };
        if let Err(panic) = checked {
            let text = panic_text(&*panic);
            if text.starts_with(&self.subject) {
                resume_unwind(panic);
            }
            self.fail("no panic", format_args!("a panic: {text}"));
        }
    }

    /// Fails unless `holds`.
    ///
    /// # Panics
    ///
    /// As [`fail`](Self::fail).
    #[track_caller]
    pub fn expect(&self, holds: bool, expected: impl Display, got: impl Display) {
        if !holds {
            self.fail(expected, got);
        }
    }

    /// The property does not hold.
    ///
    /// # Panics
    ///
    /// With the names of the subject and of the property, what was expected, and what was
    /// found.
    #[track_caller]
    pub fn fail(&self, expected: impl Display, got: impl Display) -> ! {
        let (subject, property) = (&self.subject, self.property.get());
        panic!("{subject}: property {property:?} does not hold: expected {expected}, got {got}");
    }

    /// Names the property on stderr if the value is not dropped in time. Past what captures a
    /// test's output, which never shows that of a test that never ends.
    fn name_if_slow(&self) -> Sender<()> {
        let (decided, decision) = channel();
        let (subject, property) = (self.subject.clone(), self.property.get());
        thread::spawn(move || {
            if decision.recv_timeout(SLOW) == Err(RecvTimeoutError::Timeout) {
                let _ = writeln!(
                    std::io::stderr(),
                    "{subject}: property {property:?} is undecided after {SLOW:?}: does the \
                     implementation loop?"
                );
            }
        });
        decided
    }
}

/// What a panic said.
pub(super) fn panic_text(panic: &(dyn Any + Send)) -> &str {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (_, Some(text)) => text,
        _ => "of a value that is no text",
    }
}

/// The beginning of a payload, for the message of a failure.
pub(super) struct Hex<'a>(pub(super) &'a [u8]);

impl Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 96;
        for byte in &self.0[..self.0.len().min(SHOWN)] {
            write!(f, "{byte:02x}")?;
        }
        if self.0.len() > SHOWN {
            write!(f, ".. ({} bytes)", self.0.len())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(check: impl FnOnce(&Checks)) -> String {
        let checks = Checks::new("list \"mine\"");
        let run = || checks.property("it is empty", || check(&checks));
        let panic = catch_unwind(AssertUnwindSafe(run)).unwrap_err();
        panic_text(&*panic).to_owned()
    }

    #[test]
    fn a_failure_names_subject_and_property() {
        assert_eq!(
            said(|checks| checks.expect(false, "none", 1)),
            "list \"mine\": property \"it is empty\" does not hold: expected none, got 1"
        );
    }

    #[test]
    fn a_panic_of_the_implementation_is_a_failure_of_the_property() {
        let said = said(|_| panic!("index out of bounds"));
        assert_eq!(
            said,
            "list \"mine\": property \"it is empty\" does not hold: expected no panic, got a \
             panic: index out of bounds"
        );
    }
}
