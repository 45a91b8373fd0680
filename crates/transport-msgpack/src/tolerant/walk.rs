//! Whether a renderer can read a payload, decided without recursion.

use super::value::{DEPTH, Value, Values};
use crate::scan::Malformed;

/// Checks that a payload begins with a value that a renderer can read, and that what follows it
/// does not keep it from that.
pub(super) fn check(payload: &[u8]) -> Result<(), Malformed> {
    let mut values = Values::new(payload);
    Walk::default().value(&mut values)?;
    check_rest(values)
}

/// Checks what follows a message. The renderer looks through all of a payload for nesting that
/// is too deep and for lengths that lie, before it reads the first value of it.
pub(super) fn check_rest(mut values: Values<'_>) -> Result<(), Malformed> {
    let mut walk = Walk {
        skips_text: true,
        ..Walk::default()
    };
    while !values.rest().is_empty() {
        match walk.value(&mut values) {
            Err(Malformed::Truncated) if !walk.lied => return Ok(()),
            walked => walked?,
        }
    }
    Ok(())
}

/// Walks over one value with all it holds.
struct Walk {
    open: [Open; DEPTH],
    depth: usize,
    /// Text that makes no sense does no harm.
    skips_text: bool,
    /// A map or an array announced more than there are bytes.
    lied: bool,
}

/// A map or an array.
#[derive(Clone, Copy, Default)]
struct Open {
    /// How many values are still to come.
    left: u64,
    is_map: bool,
}

impl Default for Walk {
    fn default() -> Self {
        Self {
            open: [Open::default(); DEPTH],
            depth: 0,
            skips_text: false,
            lied: false,
        }
    }
}

impl Walk {
    fn value(&mut self, values: &mut Values<'_>) -> Result<(), Malformed> {
        // A map or an array that is a key is displayed, not read; it lies at this depth.
        let mut key = None;
        loop {
            let value = values.next()?;
            match value {
                Value::Str(text) if key.is_none() && !self.skips_text => {
                    std::str::from_utf8(text).map_err(|_| Malformed::Utf8)?;
                }
                Value::Map(_) | Value::Array(_) if value.holds() > 0 => {
                    if value.holds() > values.rest().len() as u64 {
                        self.lied = true;
                        return Err(Malformed::Truncated);
                    }
                    if key.is_none() && self.is_at_key() {
                        key = Some(self.depth);
                    }
                    let open = self.open.get_mut(self.depth).ok_or(Malformed::TooDeep)?;
                    *open = Open {
                        left: value.holds(),
                        is_map: matches!(value, Value::Map(_)),
                    };
                    self.depth += 1;
                    continue;
                }
                _ => {}
            }
            self.close();
            if key.is_some_and(|at| at >= self.depth) {
                key = None;
            }
            if self.depth == 0 {
                return Ok(());
            }
        }
    }

    fn is_at_key(&self) -> bool {
        let inner = self.depth.checked_sub(1).map(|inner| self.open[inner]);
        inner.is_some_and(|inner| inner.is_map && inner.left % 2 == 0)
    }

    /// A value is over, and with it all that held nothing more.
    fn close(&mut self) {
        while let Some(inner) = self.depth.checked_sub(1) {
            self.open[inner].left -= 1;
            if self.open[inner].left > 0 {
                return;
            }
            self.depth = inner;
        }
    }
}
