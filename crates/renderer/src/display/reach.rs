//! Whether a display server listens, and whether it answers, found out without waiting for one
//! that hangs.
//!
//! A connection alone shows neither: the system completes it for a server that is stopped, and
//! makes a client wait, without a bound, for one that has taken no connection in a while.

use std::io;
#[cfg(unix)]
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

#[cfg(unix)]
use rustix::io::Errno;

/// How a display server is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    X,
    Wayland,
}

/// How long to wait before a server is tried again whose queue of connections is full, or that
/// is not there yet. Nothing can be waited for that says when it is.
pub(super) const RETRY: Duration = Duration::from_millis(1);

impl Protocol {
    /// What any server of this protocol answers at once.
    fn question(self) -> Vec<u8> {
        match self {
            // A setup of version 0, which is refused. One that succeeds makes a client, and an
            // X server throws out all others when its last client goes, unless told otherwise.
            Self::X => {
                let order = if cfg!(target_endian = "big") {
                    b'B'
                } else {
                    b'l'
                };
                let mut setup = vec![0; 12];
                setup[0] = order;
                setup
            }
            // `wl_display.sync`: object 1, opcode 0, 12 bytes, with a callback as object 2.
            Self::Wayland => [1_u32, 12 << 16, 2]
                .into_iter()
                .flat_map(u32::to_ne_bytes)
                .collect(),
        }
    }
}

/// Connects to this Unix socket, as soon as its server has room for a connection. Not bounded in
/// time.
///
/// # Errors
///
/// If nothing listens there.
///
/// # Cancel safety
///
/// Cancel safe.
#[cfg(unix)]
pub(super) async fn connect(socket: &Path) -> io::Result<tokio::net::UnixStream> {
    let address = rustix::net::SocketAddrUnix::new(socket)?;
    loop {
        match try_connect(&address) {
            Ok(stream) => return tokio::net::UnixStream::from_std(stream.into()),
            Err(Errno::AGAIN) => tokio::time::sleep(RETRY).await,
            Err(error) => return Err(error.into()),
        }
    }
}

/// Waits until the server at this Unix socket says something. Not bounded in time.
///
/// # Errors
///
/// If nothing listens there.
///
/// # Cancel safety
///
/// Cancel safe: the connection is closed.
#[cfg(unix)]
pub(super) async fn answer(socket: &Path, protocol: Protocol) -> io::Result<()> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = connect(socket).await?;
    // A server that closes the connection is not one that hangs. What it has against it, the
    // renderer finds out.
    if stream.write_all(&protocol.question()).await.is_ok() {
        let _ = stream.read(&mut [0; 32]).await;
    }
    Ok(())
}

#[cfg(not(unix))]
pub(super) async fn answer(_: &Path, _: Protocol) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Whether something listens at this Unix socket. Does not wait; a server whose queue of
/// connections is full listens.
#[cfg(unix)]
pub(super) fn listens(socket: &Path) -> bool {
    rustix::net::SocketAddrUnix::new(socket).is_ok_and(|address| listens_at(&address))
}

#[cfg(not(unix))]
pub(super) fn listens(_: &Path) -> bool {
    false
}

/// As [`listens`], in the abstract name space of Linux, where X listens too. It may be found
/// there if its files are out of sight, as in a container.
#[cfg(target_os = "linux")]
pub(super) fn listens_abstract(name: &Path) -> bool {
    use std::os::unix::ffi::OsStrExt;
    rustix::net::SocketAddrUnix::new_abstract_name(name.as_os_str().as_bytes())
        .is_ok_and(|address| listens_at(&address))
}

#[cfg(not(target_os = "linux"))]
pub(super) fn listens_abstract(_: &Path) -> bool {
    false
}

#[cfg(unix)]
fn listens_at(address: &rustix::net::SocketAddrUnix) -> bool {
    matches!(try_connect(address), Ok(_) | Err(Errno::AGAIN))
}

/// Connects without waiting: `EAGAIN` if the server has no room for a connection.
#[cfg(unix)]
fn try_connect(address: &rustix::net::SocketAddrUnix) -> Result<OwnedFd, Errno> {
    let socket = socket()?;
    rustix::net::connect(&socket, address)?;
    Ok(socket)
}

/// A Unix socket that does not block and is not inherited by children.
#[cfg(all(unix, not(target_vendor = "apple")))]
fn socket() -> Result<OwnedFd, Errno> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
}

/// The same where it takes several steps.
#[cfg(target_vendor = "apple")]
fn socket() -> Result<OwnedFd, Errno> {
    use rustix::io::{FdFlags, fcntl_setfd, ioctl_fionbio};
    use rustix::net::{AddressFamily, SocketType, socket};
    let socket = socket(AddressFamily::UNIX, SocketType::STREAM, None)?;
    fcntl_setfd(&socket, FdFlags::CLOEXEC)?;
    ioctl_fionbio(&socket, true)?;
    Ok(socket)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::os::unix::net::{UnixListener, UnixStream};

    use super::*;

    /// A socket whose queue of connections is full.
    fn full(socket: &Path) -> (UnixListener, Vec<UnixStream>) {
        let listener = UnixListener::bind(socket).expect("it is ours");
        rustix::net::listen(&listener, 0).expect("it is a listener");
        // The queue holds one more than it is told to.
        let waiting = UnixStream::connect(socket).expect("there is room for one");
        (listener, vec![waiting])
    }

    #[test]
    fn a_server_with_a_full_queue_listens_and_is_not_waited_for() {
        let folder = tempfile::tempdir().expect("temporary folders can be made");
        let socket = folder.path().join("socket");
        assert!(!listens(&socket));
        let kept = full(&socket);
        assert!(listens(&socket));
        drop(kept);
        assert!(!listens(&socket));
    }

    #[tokio::test]
    async fn a_full_queue_is_tried_again_until_it_has_room() {
        use tokio::time::timeout;
        let folder = tempfile::tempdir().expect("temporary folders can be made");
        let socket = folder.path().join("socket");
        let (listener, waiting) = full(&socket);
        let asked = answer(&socket, Protocol::Wayland);
        let mut asked = std::pin::pin!(asked);
        let hangs = timeout(Duration::from_millis(20), &mut asked).await;
        assert!(hangs.is_err(), "nothing has answered");
        let serve = std::thread::spawn(move || {
            use std::io::Write;
            drop(waiting);
            // The first is gone; the second asks.
            for _ in 0..2 {
                let (mut stream, _) = listener.accept().expect("it listens");
                let _ = stream.write_all(&[0; 8]);
            }
        });
        asked.await.expect("it answers now");
        serve.join().expect("it does not panic");
    }
}
