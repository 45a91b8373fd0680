//! What a user of the pool goes through, on the real renderer.

#![allow(clippy::unwrap_used, reason = "to fail is how a test says it")]

mod alone;
mod basics;
mod cancel;
mod capacity;
mod closing;
mod company;
mod crash;
mod cut;
mod doubled;
mod dropped;
mod effects;
mod events;
mod failure;
mod flood;
mod fonts;
mod guests;
mod interact;
mod launch;
mod malformed;
mod messages;
mod oversized;
mod peer;
mod pools;
mod recycle;
mod requests;
mod screenshots;
mod stage;
mod stall;
mod start;
mod stream;
mod support;
