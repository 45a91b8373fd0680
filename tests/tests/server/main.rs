//! A pool behind a socket, on the real renderer.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "to fail is how a test says it")]

mod clients;
mod connect;
mod effects;
mod harm;
mod modes;
mod oversized;
mod sessions;
mod shared;
mod silent;
mod support;
mod taken;
mod tap;
mod tokens;
mod waits;
mod words;
