//! The file that SDKs start for a renderer in `plushie-pool run`, and which leads to the pool.

use std::env;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use plushie_pool_server::{Server, Token};

use crate::failure::Failure;

/// A script beside the server's socket; removed when dropped.
#[derive(Debug)]
pub(crate) struct StandIn(PathBuf);

impl StandIn {
    /// A script that starts `plushie-pool attach`. It brings its environment along: an SDK keeps
    /// most of its own from renderers.
    pub(crate) fn new(server: &Server, token: &Token, mode: &str) -> Result<Self, Failure> {
        let socket = server.address();
        let path = Path::new(socket).with_file_name("plushie-renderer");
        let failed = |source| Failure::Write {
            path: path.clone(),
            source,
        };
        let program = env::current_exe().map_err(failed)?;
        let script = format!(
            "#!/bin/sh\nexport PLUSHIE_SOCKET={} PLUSHIE_TOKEN={} PLUSHIE_TEST_BACKEND={}\n\
             exec {} attach \"$@\"\n",
            quoted(socket),
            quoted(token.reveal()),
            quoted(mode),
            quoted(&program.to_string_lossy()),
        );
        // Nobody else may read the token, or start it.
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o700);
        let written = options
            .open(&path)
            .and_then(|mut file| file.write_all(script.as_bytes()));
        written.map_err(failed)?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        // It may have been removed by somebody else, which is as well.
        let _ = fs::remove_file(&self.0);
    }
}

/// For a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
