//! What a user of the pool goes through, on the real renderer.

mod basics;
mod support;
