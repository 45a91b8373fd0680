//! What servers that were killed have left behind.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixDatagram;
use std::path::Path;

/// Of the names of private directories.
pub(crate) const PREFIX: &str = "plushie-pool-";

/// What there may be in one, the socket first. Others are left alone, and their directory too.
const FILES: [&str; 2] = ["renderer.sock", "plushie-renderer"];

/// Removes the private directories beside `own` whose sockets no process has any more. What
/// cannot be removed stays, as it would have.
pub(crate) fn sweep(base: &Path, own: &Path) {
    let (Ok(own), Ok(entries)) = (fs::symlink_metadata(own), fs::read_dir(base)) else {
        return;
    };
    for entry in entries.flatten() {
        let is_named = entry.file_name().to_string_lossy().starts_with(PREFIX);
        let directory = entry.path();
        if is_named && is_like(&directory, &own) && is_dead(&directory.join(FILES[0])) {
            for file in FILES {
                let _ = fs::remove_file(directory.join(file));
            }
            let _ = fs::remove_dir(&directory);
        }
    }
}

/// A directory of the same user where nobody else may write.
fn is_like(directory: &Path, own: &Metadata) -> bool {
    fs::symlink_metadata(directory).is_ok_and(|found| {
        let private = found.permissions().mode() & 0o777 == 0o700;
        found.is_dir() && private && found.uid() == own.uid()
    })
}

/// Refused means that no process has the socket. A server that lives is of another kind, which is
/// another error, and never learns that it was asked.
fn is_dead(socket: &Path) -> bool {
    let asked = UnixDatagram::unbound().and_then(|own| own.connect(socket));
    asked.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}
