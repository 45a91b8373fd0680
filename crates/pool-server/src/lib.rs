//! A pool behind a socket that speaks the renderer's own protocol: whatever can connect to a
//! renderer that listens can use it unchanged, in any language, each of its session ids being a
//! session of the pool. A [`PoolSet`](plushie_pool::PoolSet) has a pool for each mode that clients
//! ask for.
//!
//! ```no_run
//! use plushie_pool::SessionPool;
//! use plushie_pool_server::{Listen, Server, ServerConfig, Token};
//!
//! # async fn serve() -> Result<(), plushie_pool::Error> {
//! let pool = SessionPool::builder().max_sessions(8).start().await?;
//! let mut config = ServerConfig::default();
//! config.token = Some(Token::random()?);
//! let server = Server::start(pool, Listen::Private, config)?;
//! println!("PLUSHIE_SOCKET={}", server.address());
//! # server.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! A client is as any other user of the pool: it waits its turn when the pool is full, its
//! sessions are given back when it goes, however it goes, and it can harm nobody else.

mod connection;
mod handshakes;
mod listener;
mod metrics;
mod prometheus;
mod report;
mod server;
#[cfg(unix)]
mod socket_file;
mod stats;
mod threads;
mod token;

pub use listener::Listen;
pub use report::{BackoffReport, PoolReport, RendererReport, Report};
pub use server::{Server, ServerConfig};
pub use stats::{ClientStats, Latency, SessionStats, Stats};
pub use token::Token;
