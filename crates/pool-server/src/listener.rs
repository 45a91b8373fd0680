//! Where clients connect.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use plushie_pool::{Error, ErrorKind};
use plushie_pool_renderer::notice_loss;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

#[cfg(unix)]
use crate::socket_file::SocketFile;

/// Where a [`Server`](crate::Server) listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// A Unix socket in a directory of its own, where only this user may look. The directory is
    /// in `XDG_RUNTIME_DIR`, the temporary directory or `/tmp`: the first where it can be made
    /// and the socket's path is short enough. Removed in the end.
    ///
    /// Beside it is a socket for each mode that is served, such as `headless.sock`: who connects
    /// there gets sessions in that mode, unless the settings name another. For clients that cannot
    /// say more in their settings than what a renderer knows.
    Private,
    /// A Unix socket at this path, to which only this user may connect. A relative path is one
    /// in the current directory. A socket that no process has any more is replaced. Removed in
    /// the end.
    Unix(PathBuf),
    /// A TCP port; 0 takes one that is free.
    Tcp(SocketAddr),
}

/// Something that listens, and the address to reach it by.
#[derive(Debug)]
pub(crate) enum Bound {
    #[cfg(unix)]
    Unix(SocketFile, Vec<Endpoint<std::os::unix::net::UnixListener>>),
    Tcp(std::net::TcpListener, SocketAddr),
}

/// The same, inside a runtime.
pub(crate) enum Listener {
    #[cfg(unix)]
    Unix {
        /// Dropped first, in this order.
        _file: SocketFile,
        endpoints: Vec<Endpoint<tokio::net::UnixListener>>,
    },
    Tcp(TcpListener),
}

/// One of the sockets of a server, and the mode of those who connect there; none for the default.
#[derive(Debug)]
pub(crate) struct Endpoint<T> {
    pub(crate) listener: T,
    pub(crate) mode: Option<String>,
}

impl Listen {
    /// `modes` are those that are served.
    pub(crate) fn bind(&self, modes: &[String]) -> Result<Bound, Error> {
        match self {
            #[cfg(unix)]
            Self::Private => {
                let (endpoints, file) = SocketFile::private(modes)?;
                Ok(Bound::Unix(file, endpoints))
            }
            #[cfg(unix)]
            Self::Unix(path) => {
                let (listener, file) = SocketFile::at(path)?;
                let mode = None;
                Ok(Bound::Unix(file, vec![Endpoint { listener, mode }]))
            }
            #[cfg(not(unix))]
            Self::Private => Self::Tcp(SocketAddr::from(([127, 0, 0, 1], 0))).bind(modes),
            #[cfg(not(unix))]
            Self::Unix(path) => {
                let message = format!("{} would be a Unix socket", path.display());
                Err(Error::new(ErrorKind::Config, message).with_hint("listen on TCP"))
            }
            Self::Tcp(address) => {
                let bound = || {
                    let listener = std::net::TcpListener::bind(address)?;
                    listener.set_nonblocking(true)?;
                    let address = listener.local_addr()?;
                    Ok(Bound::Tcp(listener, address))
                };
                bound().map_err(|error: io::Error| {
                    let message = format!("cannot listen at {address}: {error}");
                    Error::new(ErrorKind::Config, message)
                })
            }
        }
    }
}

impl Bound {
    /// As `PLUSHIE_SOCKET` has it.
    pub(crate) fn address(&self) -> String {
        match self {
            #[cfg(unix)]
            Self::Unix(file, _) => file.path().display().to_string(),
            Self::Tcp(_, address) => address.to_string(),
        }
    }

    /// Whether only this machine can reach it.
    pub(crate) fn is_local(&self) -> bool {
        match self {
            #[cfg(unix)]
            Self::Unix(..) => true,
            Self::Tcp(_, address) => address.ip().is_loopback(),
        }
    }

    /// To be called inside a runtime with I/O enabled.
    pub(crate) fn into_listener(self) -> io::Result<Listener> {
        Ok(match self {
            #[cfg(unix)]
            Self::Unix(file, endpoints) => Listener::Unix {
                endpoints: endpoints
                    .into_iter()
                    .map(Endpoint::into_async)
                    .collect::<io::Result<_>>()?,
                _file: file,
            },
            Self::Tcp(listener, _) => Listener::Tcp(TcpListener::from_std(listener)?),
        })
    }
}

impl Listener {
    /// The next client.
    pub(crate) async fn accept(&self) -> io::Result<Accepted> {
        match self {
            #[cfg(unix)]
            Self::Unix { endpoints, .. } => {
                let (stream, mode) = poll_fn(|context| accept_at_any(endpoints, context)).await?;
                let peer = stream.peer_cred().ok().and_then(|peer| peer.pid());
                let peer = peer.map_or_else(|| "unix".to_owned(), |pid| format!("pid {pid}"));
                Ok(Accepted {
                    socket: Socket::Unix(stream.into_std()?),
                    peer,
                    mode,
                })
            }
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                // Requests are small, and each is waited for.
                stream.set_nodelay(true)?;
                Ok(Accepted {
                    socket: Socket::Tcp(stream.into_std()?),
                    peer: peer.to_string(),
                    mode: None,
                })
            }
        }
    }
}

#[cfg(unix)]
impl Endpoint<std::os::unix::net::UnixListener> {
    fn into_async(self) -> io::Result<Endpoint<tokio::net::UnixListener>> {
        Ok(Endpoint {
            listener: tokio::net::UnixListener::from_std(self.listener)?,
            mode: self.mode,
        })
    }
}

/// The next connection at any of them.
#[cfg(unix)]
fn accept_at_any(
    endpoints: &[Endpoint<tokio::net::UnixListener>],
    context: &mut Context<'_>,
) -> Poll<io::Result<(tokio::net::UnixStream, Option<String>)>> {
    for endpoint in endpoints {
        if let Poll::Ready(accepted) = endpoint.listener.poll_accept(context) {
            return Poll::Ready(accepted.map(|(stream, _)| (stream, endpoint.mode.clone())));
        }
    }
    Poll::Pending
}

/// A client that connected.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) socket: Socket,
    /// Its process or address.
    pub(crate) peer: String,
    /// The mode that the address stands for, if for any.
    pub(crate) mode: Option<String>,
}

/// A connection that belongs to no runtime.
#[derive(Debug)]
pub(crate) enum Socket {
    #[cfg(unix)]
    Unix(std::os::unix::net::UnixStream),
    Tcp(std::net::TcpStream),
}

impl Socket {
    /// To be called inside a runtime with I/O enabled, to which the connection belongs then. A
    /// client that goes without a word is noticed: within a minute, or `patience` and 20 s.
    pub(crate) fn into_stream(self, patience: Duration) -> io::Result<Stream> {
        Ok(match self {
            #[cfg(unix)]
            Self::Unix(stream) => Stream::Unix(tokio::net::UnixStream::from_std(stream)?),
            Self::Tcp(stream) => {
                notice_loss(&stream, patience);
                Stream::Tcp(TcpStream::from_std(stream)?)
            }
        })
    }
}

/// A client's connection.
#[derive(Debug)]
pub(crate) enum Stream {
    #[cfg(unix)]
    Unix(tokio::net::UnixStream),
    Tcp(TcpStream),
}

macro_rules! either {
    ($self:ident, $stream:ident => $call:expr) => {
        match $self.get_mut() {
            #[cfg(unix)]
            Stream::Unix($stream) => $call,
            Stream::Tcp($stream) => $call,
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        either!(self, stream => Pin::new(stream).poll_read(context, buffer))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        either!(self, stream => Pin::new(stream).poll_write(context, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => Pin::new(stream).poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => Pin::new(stream).poll_shutdown(context))
    }
}
