//! Pictures of a session's window.

use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use plushie_pool::Binary;
use serde::Deserialize;

use crate::failure::Failure;

/// A `screenshot_response`.
#[derive(Deserialize)]
pub(crate) struct Screenshot {
    width: u32,
    height: u32,
    /// Left out by a renderer that has drawn nothing.
    #[serde(default)]
    rgba: Binary,
}

impl Screenshot {
    pub(crate) fn has_all_pixels(&self) -> bool {
        let pixels = u64::from(self.width) * u64::from(self.height);
        pixels > 0 && pixels.checked_mul(4) == u64::try_from(self.rgba.len()).ok()
    }

    /// Writes it as a PNG file.
    pub(crate) fn save(&self, path: PathBuf) -> Result<(), Failure> {
        self.write(&path)
            .map_err(|source| Failure::Write { path, source })
    }

    fn write(&self, path: &Path) -> io::Result<()> {
        let file = BufWriter::new(File::create(path)?);
        let mut encoder = png::Encoder::new(file, self.width, self.height);
        encoder.set_color(png::ColorType::Rgba);
        encoder.set_depth(png::BitDepth::Eight);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&self.rgba)?;
        // Which also flushes the file: dropping it would keep an error to itself.
        writer.finish()?;
        Ok(())
    }
}

impl fmt::Display for Screenshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { width, height, .. } = self;
        write!(f, "{width}x{height} pixels in {} bytes", self.rgba.len())
    }
}
