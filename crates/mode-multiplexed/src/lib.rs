//! Many sessions on one plushie renderer: the `mock` and `headless` modes of `plushie-pool`.
//!
//! ```
//! use plushie_pool_core::{Mode, Placement};
//! use plushie_pool_mode_multiplexed::Multiplexed;
//!
//! let mut mode = Multiplexed::mock();
//! assert_eq!(mode.place(&[]), Placement::Launch);
//! assert!(mode.launch_args(8).contains(&"--mock".to_owned()));
//! ```

mod multiplexed;

pub use multiplexed::Multiplexed;
