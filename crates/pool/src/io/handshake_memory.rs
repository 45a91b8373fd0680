//! A bound on what clients may send before they have shown who they are.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Memory for the first messages of clients that have not been admitted, shared by all of a
/// server's. A first message may be as long as any other, since it holds the fonts of an app; many
/// that are never finished must not take all the memory there is.
///
/// The first 64 KiB of each client are not counted, so that clients with short settings are
/// admitted whatever others do.
#[derive(Debug)]
pub struct HandshakeMemory {
    left: AtomicUsize,
}

/// What each client may send uncounted, in bytes.
const UNCOUNTED: usize = 64 * 1024;

impl HandshakeMemory {
    /// So many bytes, for all clients together.
    pub fn new(bytes: usize) -> Self {
        Self {
            left: AtomicUsize::new(bytes),
        }
    }
}

/// What one client has of it, given back when dropped.
#[derive(Debug)]
pub(super) struct Claim {
    memory: Arc<HandshakeMemory>,
    bytes: usize,
}

impl Claim {
    /// Of a client that has sent nothing.
    pub(super) fn new(memory: Arc<HandshakeMemory>) -> Self {
        Self { memory, bytes: 0 }
    }

    /// Claims enough for a client that has sent so many bytes in all; whether there was enough.
    pub(super) fn cover(&mut self, sent: usize) -> bool {
        let more = sent.saturating_sub(UNCOUNTED).saturating_sub(self.bytes);
        let left = &self.memory.left;
        let taken = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
            left.checked_sub(more)
        });
        if taken.is_ok() {
            self.bytes += more;
        }
        taken.is_ok()
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.memory.left.fetch_add(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_claimed_is_bounded_and_comes_back() {
        let memory = Arc::new(HandshakeMemory::new(100));
        let mut one = Claim::new(memory.clone());
        let mut other = Claim::new(memory.clone());
        assert!(one.cover(UNCOUNTED) && other.cover(UNCOUNTED));
        assert!(one.cover(UNCOUNTED + 60));
        assert!(!other.cover(UNCOUNTED + 41));
        assert!(other.cover(UNCOUNTED + 40));
        drop(one);
        assert!(other.cover(UNCOUNTED + 100));
        drop(other);
        assert_eq!(memory.left.load(Ordering::Relaxed), 100);
    }
}
