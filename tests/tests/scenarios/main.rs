//! What a user of the pool goes through, on the real renderer.

#![allow(clippy::unwrap_used, reason = "to fail is how a test says it")]

mod basics;
mod capacity;
mod closing;
mod crash;
mod events;
mod failure;
mod interact;
mod malformed;
mod messages;
mod peer;
mod pools;
mod requests;
mod screenshots;
mod start;
mod support;
