//! What a user of the pool goes through, on the real renderer.

mod basics;
mod capacity;
mod events;
mod interact;
mod peer;
mod pools;
mod requests;
mod screenshots;
mod support;
