//! For tests of a [`Transport`](crate::Transport), a [`Mode`](crate::Mode) or a
//! [`Connector`](crate::Connector) of one's own.
//!
//! [`transport`], [`mode`] and [`ConnectorSuite`] say whether an implementation is right, and a
//! [`FakeRenderer`] is a renderer in memory for a pool with it:
//!
//! ```
//! use plushie_pool::SessionPool;
//! use plushie_pool::testing::FakeRenderer;
//! # async fn test(my_format: impl plushie_pool::Transport + Copy) -> Result<(), plushie_pool::Error> {
//! let pool = SessionPool::builder()
//!     .connector(FakeRenderer::new(my_format))
//!     .transport(my_format)
//!     .start()
//!     .await?;
//! # Ok(())
//! # }
//! ```

pub use plushie_pool_core::conformance::{Checks, Hostile, mode, transport, transport_with};
pub use plushie_pool_renderer::testing::{ConnectorSuite, FakeRenderer, Heard};
