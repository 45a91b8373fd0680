//! One plushie renderer for each session: the `windowed` mode of `plushie-pool`.
//!
//! ```
//! use plushie_pool_core::{Mode, Placement};
//! use plushie_pool_mode_windowed::Windowed;
//!
//! let mut mode = Windowed::new();
//! assert_eq!(mode.place(&[]), Placement::Launch);
//! ```

mod windowed;

pub use windowed::Windowed;
