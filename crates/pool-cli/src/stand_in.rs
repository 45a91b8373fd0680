//! The file that SDKs start for a renderer in `plushie-pool run`, and which leads to the pool.

use std::env;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use plushie_pool::Error;
use plushie_pool_renderer::PrivateDirectory;
use plushie_pool_server::{Server, Token};
use rustix::fs::{Access, access};

use crate::failure::say;

/// The variable that names a renderer.
const VARIABLE: &str = "PLUSHIE_BINARY_PATH";

/// Of the private directory, if it is not the socket's.
const DIRECTORY: &str = "plushie-pool-";

const NAME: &str = "plushie-renderer";

/// A script; removed when dropped.
#[derive(Debug)]
pub(crate) struct StandIn {
    path: PathBuf,
    /// None if it lies beside the socket.
    _directory: Option<PrivateDirectory>,
}

/// Has `command` start the pool where it starts a renderer, unless it was told to start another.
/// What is returned is to be kept until it has ended.
pub(crate) fn offer(
    command: &mut Command,
    server: &Server,
    token: &Token,
    mode: &str,
) -> Option<StandIn> {
    // As with all variables of this kind, an empty one counts as unset.
    let chosen = env::var_os(VARIABLE).filter(|path| !path.is_empty());
    let is_outer = chosen.as_ref().map(|path| is_stand_in(Path::new(path)));
    if is_outer == Some(false) {
        return None;
    }
    match StandIn::new(server, token, mode) {
        Ok(stand_in) => {
            command.env(VARIABLE, &stand_in.path);
            Some(stand_in)
        }
        Err(error) => {
            say(&format!(
                "warning: {VARIABLE} does not lead to the pool, only PLUSHIE_SOCKET does: the \
                 script for it cannot be written: {error}"
            ));
            if is_outer.is_some() {
                command.env_remove(VARIABLE);
            }
            None
        }
    }
}

/// Whether a surrounding `plushie-pool run` has made this, or one that is over.
fn is_stand_in(path: &Path) -> bool {
    let directory = path.parent().and_then(Path::file_name);
    let random = directory.and_then(|name| name.to_str()?.strip_prefix(DIRECTORY));
    let is_random = random.is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_hexdigit()));
    is_random && path.file_name().is_some_and(|name| name == NAME)
}

impl StandIn {
    /// A script that starts `plushie-pool attach`. It brings its environment along: an SDK keeps
    /// most of its own from renderers. It lies beside the socket, or, if no file can be written or
    /// started there, in a directory of its own elsewhere.
    fn new(server: &Server, token: &Token, mode: &str) -> Result<Self, Error> {
        let socket = server.address();
        let program = env::current_exe();
        let script = program.as_ref().map(|program| {
            format!(
                "#!/bin/sh\nexport PLUSHIE_SOCKET={} PLUSHIE_TOKEN={} PLUSHIE_TEST_BACKEND={}\n\
                 exec {} attach \"$@\"\n",
                quoted(socket),
                quoted(token.reveal()),
                quoted(mode),
                quoted(&program.to_string_lossy()),
            )
        });
        let write = |directory: &Path| {
            let script = script
                .as_ref()
                .map_err(|error| io::Error::other(error.to_string()))?;
            let path = directory.join(NAME);
            write(&path, script)?;
            Ok(path)
        };
        let beside = Path::new(socket).parent().map(write);
        if let Some(Ok(path)) = beside {
            return Ok(Self {
                path,
                _directory: None,
            });
        }
        let (directory, path) = PrivateDirectory::filled(DIRECTORY, write)?;
        Ok(Self {
            path,
            _directory: Some(directory),
        })
    }
}

/// Writes a script that can be started; nothing, if it cannot.
fn write(path: &Path, script: &str) -> io::Result<()> {
    // No other user may read the token, or start it.
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o700);
    let mut file = options.open(path)?;
    let written = file
        .write_all(script.as_bytes())
        // Not on a file system whose files cannot be started.
        .and_then(|()| Ok(access(path, Access::EXEC_OK)?));
    if written.is_err() {
        // The error says what went wrong first.
        let _ = fs::remove_file(path);
    }
    written
}

impl Drop for StandIn {
    fn drop(&mut self) {
        // One that is gone by now is as good as removed.
        let _ = fs::remove_file(&self.path);
    }
}

/// For a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
