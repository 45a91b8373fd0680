//! A Unix socket that nobody else on the machine can connect to.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use plushie_pool::{Error, ErrorKind};

use crate::leftovers;
use crate::token::random_hex;

/// A socket's place in the file system; removed when dropped.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    directory: Option<PathBuf>,
    /// Another server may have put a socket of its own in this one's place.
    inode: Option<(u64, u64)>,
}

/// The name of the socket in a directory of its own.
const PRIVATE: &str = "renderer.sock";

impl SocketFile {
    /// A socket in a new directory of its own, where only this user may look.
    pub(crate) fn private() -> Result<(UnixListener, Self), Error> {
        let base = base();
        let directory = private_directory(&base).map_err(|error| failed(&base, &error))?;
        leftovers::sweep(&base, &directory);
        let (listener, mut file) = Self::inside(directory)?;
        // One of this name has been listened at, which a sweep relies on.
        let path = file.path.with_file_name(PRIVATE);
        fs::rename(&file.path, &path).map_err(|error| failed(&path, &error))?;
        file.path = path;
        Ok((listener, file))
    }

    /// Under a name for the time being.
    fn inside(directory: PathBuf) -> Result<(UnixListener, Self), Error> {
        // Before anything can fail, so that the directory does not stay.
        let mut file = Self {
            path: directory.join("s"),
            directory: Some(directory),
            inode: None,
        };
        let listener = bind(&file.path)?;
        file.inode = inode(&file.path);
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
        let directory = private_directory(parent).map_err(|error| {
            // Of the name that was asked for, and not of one inside.
            if error.kind() == io::ErrorKind::NotFound {
                failed(path, &"its directory does not exist")
            } else {
                failed(path, &error)
            }
        })?;
        let (listener, moved) = Self::inside(directory)?;
        fs::rename(&moved.path, path).map_err(|error| failed(path, &error))?;
        let file = Self {
            path: path.to_owned(),
            directory: None,
            inode: moved.inode,
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

fn private_directory(parent: &Path) -> io::Result<PathBuf> {
    let random = random_hex().map_err(io::Error::other)?;
    let directory = parent.join(format!("{}{}", leftovers::PREFIX, &random[..12]));
    DirBuilder::new().mode(0o700).create(&directory)?;
    Ok(directory)
}

fn inode(path: &Path) -> Option<(u64, u64)> {
    let found = fs::symlink_metadata(path).ok()?;
    Some((found.dev(), found.ino()))
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
    // A longer one could be made, and nobody could connect to it.
    SocketAddr::from_pathname(path).map_err(|error| failed(path, &error))?;
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

fn failed(path: &Path, error: &dyn std::fmt::Display) -> Error {
    let message = format!("cannot listen at {}: {error}", path.display());
    Error::new(ErrorKind::Config, message)
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // It may have been removed by somebody else, which is as well.
        if self.inode.is_none() || inode(&self.path) == self.inode {
            let _ = fs::remove_file(&self.path);
        }
        if let Some(directory) = &self.directory {
            let _ = fs::remove_dir(directory);
        }
    }
}
