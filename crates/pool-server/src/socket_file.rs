//! A Unix socket that nobody else on the machine can connect to.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use plushie_pool::{Error, ErrorKind};

use crate::token::random_hex;

/// A socket's place in the file system; removed when dropped.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    directory: Option<PathBuf>,
}

impl SocketFile {
    /// A socket in a new directory of its own, where only this user may look.
    pub(crate) fn private() -> Result<(UnixListener, Self), Error> {
        let directory = private_directory(&base())?;
        let path = directory.join("renderer.sock");
        // Before anything can fail, so that the directory does not stay.
        let file = Self {
            path,
            directory: Some(directory),
        };
        let listener = bind(&file.path)?;
        Ok((listener, file))
    }

    /// A socket of this name, which may only be taken by one that nobody listens at.
    pub(crate) fn at(path: &Path) -> Result<(UnixListener, Self), Error> {
        check_unused(path)?;
        let parent = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        // It takes its place when only this user can connect to it, not before.
        let directory = private_directory(parent)?;
        let moved = Self {
            path: directory.join("s"),
            directory: Some(directory),
        };
        let listener = bind(&moved.path)?;
        fs::rename(&moved.path, path).map_err(|error| failed(path, &error))?;
        let file = Self {
            path: path.to_owned(),
            directory: None,
        };
        Ok((listener, file))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// Where this user's sockets lie, as a rule: not all that is temporary may be so long-winded
/// that the name of a socket, 107 bytes at most, does not fit.
fn base() -> PathBuf {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let usable = |path: &PathBuf| path.is_absolute() && path.is_dir();
    runtime.filter(usable).unwrap_or_else(std::env::temp_dir)
}

fn private_directory(parent: &Path) -> Result<PathBuf, Error> {
    let name = format!("plushie-pool-{}", &random_hex()?[..12]);
    let directory = parent.join(name);
    let made = DirBuilder::new().mode(0o700).create(&directory);
    made.map_err(|error| failed(&directory, &error))?;
    Ok(directory)
}

fn bind(path: &Path) -> Result<UnixListener, Error> {
    let bound = || {
        let listener = UnixListener::bind(path)?;
        fs::set_permissions(path, Permissions::from_mode(0o600))?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    };
    bound().map_err(|error: io::Error| failed(path, &error))
}

fn check_unused(path: &Path) -> Result<(), Error> {
    let problem = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(path, &error)),
        Ok(found) if !found.file_type().is_socket() => "there is a file that is no socket",
        Ok(_) => match UnixStream::connect(path) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => return Ok(()),
            _ => "somebody listens there already",
        },
    };
    let message = format!("cannot listen at {}: {problem}", path.display());
    Err(Error::new(ErrorKind::Config, message).with_hint("choose another path"))
}

fn failed(path: &Path, error: &io::Error) -> Error {
    let message = format!("cannot listen at {}: {error}", path.display());
    Error::new(ErrorKind::Config, message)
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // It may have been removed by somebody else, which is as well.
        let _ = fs::remove_file(&self.path);
        if let Some(directory) = &self.directory {
            let _ = fs::remove_dir(directory);
        }
    }
}
