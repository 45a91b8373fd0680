//! A Unix socket that no other user can connect to.
//!
//! It is bound under the name it has in the end, since that is the name the kernel knows it by:
//! `systemd-tmpfiles` removes old sockets that it does not find in `/proc/net/unix`. No umask is
//! needed for that, which would be the whole process's: a socket refuses connections until it
//! listens, and its mode is set before.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{self, Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use plushie_pool::{Error, ErrorKind};
use plushie_pool_renderer::{PrivateDirectory, is_abandoned};
use socket2::{Domain, SockAddr, Socket, Type};

use crate::listener::Endpoint;

/// A socket's place in the file system; removed when dropped.
///
/// Drop it before the socket that was bound there: while that is open no other server takes its
/// place, and no other file gets its inode.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    /// If another file has taken the place of this one, that stays.
    inode: (u64, u64),
    _directory: Option<PrivateDirectory>,
}

/// Of the names of private directories.
const PREFIX: &str = "plushie-pool-";

/// The names of what there is in one: the socket, what `plushie-pool run` puts beside it, and the
/// sockets of modes.
const FILES: [&str; 5] = [
    "renderer.sock",
    "plushie-renderer",
    "mock.sock",
    "headless.sock",
    "windowed.sock",
];

/// How many clients may wait to be accepted. Many clients take a full queue for an error.
const BACKLOG: i32 = 1024;

/// How long another server in the same directory may take to bind its socket.
const PATIENCE: Duration = Duration::from_secs(2);

impl SocketFile {
    /// A socket in a new directory of its own, where only this user may look, and beside it one
    /// for each of these modes.
    pub(crate) fn private(modes: &[String]) -> Result<(Vec<Endpoint<UnixListener>>, Self), Error> {
        let made = PrivateDirectory::filled(PREFIX, |directory| {
            let path = directory.join(FILES[0]);
            let (listener, inode) = bind(&path)?;
            let mut endpoints = vec![Endpoint {
                listener,
                mode: None,
            }];
            for mode in modes {
                let (listener, _) = bind(&directory.join(format!("{mode}.sock")))?;
                endpoints.push(Endpoint {
                    listener,
                    mode: Some(mode.clone()),
                });
            }
            Ok((endpoints, inode, path))
        });
        let (directory, (endpoints, inode, path)) = made?;
        directory.sweep(PREFIX, &FILES);
        let file = Self {
            path,
            inode,
            _directory: Some(directory),
        };
        Ok((endpoints, file))
    }

    /// A socket of this name. It takes the place of a socket that no process has any more, and of
    /// nothing else.
    pub(crate) fn at(path: &Path) -> Result<(UnixListener, Self), Error> {
        let failed = |problem: &dyn std::fmt::Display| failed(path, problem);
        // Clients may be elsewhere.
        let path = path::absolute(path).map_err(|error| failed(&error))?;
        if path.to_str().is_none_or(|path| path.contains('\n')) {
            return Err(failed(&"the path is not one line of UTF-8"));
        }
        let parent = path.parent().unwrap_or(&path);
        if !parent.is_dir() {
            return Err(failed(&"its directory does not exist"));
        }
        // Released when this is done.
        let _lock = lock(parent);
        make_room(&path)?;
        let (listener, inode) = bind(&path).map_err(|error| failed(&error))?;
        let file = Self {
            path,
            inode,
            _directory: None,
        };
        Ok((listener, file))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// Binds a socket to which only this user can connect.
fn bind(path: &Path) -> io::Result<(UnixListener, (u64, u64))> {
    // A longer path could be bound in parts of this function, and connected to in none.
    let address = SockAddr::unix(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&address)?;
    let ready = || {
        fs::set_permissions(path, Permissions::from_mode(0o600))?;
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)?;
        inode(path)
    };
    match ready() {
        Ok(inode) => Ok((std::os::fd::OwnedFd::from(socket).into(), inode)),
        Err(error) => {
            // The error says what went wrong first.
            let _ = fs::remove_file(path);
            Err(error)
        }
    }
}

/// Keeps other servers from looking at a socket that is bound and does not listen yet, and from
/// taking the place of the same abandoned one. Any process may lock a directory, so a lock that
/// is held for long is not waited for, and a directory that cannot be locked does not have to be.
fn lock(directory: &Path) -> Option<File> {
    let opened = File::open(directory).ok()?;
    let start = Instant::now();
    loop {
        match opened.try_lock() {
            Ok(()) => return Some(opened),
            Err(fs::TryLockError::WouldBlock) if start.elapsed() < PATIENCE => {
                thread::sleep(Duration::from_millis(5));
            }
            Err(_) => return None,
        }
    }
}

/// Removes a socket of this name that no process has any more.
fn make_room(path: &Path) -> Result<(), Error> {
    let problem = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(path, &error)),
        Ok(found) if !found.file_type().is_socket() => "there is a file that is no socket",
        Ok(_) => match is_abandoned(path) {
            Ok(true) => return fs::remove_file(path).map_err(|error| failed(path, &error)),
            Ok(false) => "another process listens there already",
            Err(error) => return Err(failed(path, &error)),
        },
    };
    Err(failed(path, &problem).with_hint("choose another path"))
}

fn inode(path: &Path) -> io::Result<(u64, u64)> {
    let found = fs::symlink_metadata(path)?;
    Ok((found.dev(), found.ino()))
}

fn failed(path: &Path, problem: &dyn std::fmt::Display) -> Error {
    let message = format!("cannot listen at {}: {problem}", path.display());
    Error::new(ErrorKind::Config, message)
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if inode(&self.path).is_ok_and(|found| found == self.inode) {
            // One that is gone by now is as good as removed.
            let _ = fs::remove_file(&self.path);
        }
    }
}
